"""Who is analysed: volumes and people of cohorts and of tables of any tool, joined and counted."""
