"""`make demo`: a GraphQL client walks one sandbox through its whole life and checks every step."""
