from django.db import migrations
from orgs.postgres_only import PostgresSQL


class Migration(migrations.Migration):
    """Have the tables that every message writes several times vacuumed before they have grown."""

    dependencies = [
        ('messaging', '0027_number_health'),
    ]

    operations = [
        PostgresSQL(
            """
            ALTER TABLE outbound_message SET
                (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
            ALTER TABLE outbound_attempt SET
                (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
            ALTER TABLE webhook_delivery SET (autovacuum_vacuum_scale_factor = 0.02);
            """,
            """
            ALTER TABLE outbound_message RESET
                (autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
            ALTER TABLE outbound_attempt RESET
                (autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
            ALTER TABLE webhook_delivery RESET (autovacuum_vacuum_scale_factor);
            """,
        ),
    ]
