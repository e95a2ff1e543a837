"""The pages of the console that show more than one table: the dashboard and a message's page."""
