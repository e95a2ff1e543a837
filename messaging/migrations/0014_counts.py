from django.db import migrations

# What the engine keeps from now on, for the messages that are there already.
COUNT = """
INSERT INTO metric_tally (name, labels, shard, value, updated_at)
SELECT 'outbound_message_queue_depth', '{"channel":"' || channel || '"}', 0, count(*),
    CURRENT_TIMESTAMP
FROM outbound_message WHERE status IN ('QUEUED', 'SENDING') GROUP BY channel
UNION ALL
SELECT 'outbound_message_dlq_size',
    '{"channel":"' || channel || '","error_code":"'
        || CASE WHEN error_code = '' THEN 'none' ELSE error_code END || '"}',
    0, count(*), CURRENT_TIMESTAMP
FROM outbound_message WHERE status = 'FAILED' GROUP BY channel, error_code
"""
FORGET = """
DELETE FROM metric_tally
WHERE name IN ('outbound_message_queue_depth', 'outbound_message_dlq_size')
"""


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0013_heartbeats'),
        ('orgs', '0003_metric_tally'),
    ]

    operations = [migrations.RunSQL(COUNT, FORGET)]
