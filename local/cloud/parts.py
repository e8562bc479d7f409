"""What `facet up` consists of; each part can run alone, as the containers do."""

PARTS = ("services", "migrate", "functions", "triggers", "agent")
