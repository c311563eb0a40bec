"""Everything that is spoken over HTTP: GraphQL, files, health, the dashboard."""
