import { graphql } from '../gql';

export const TemplatesQuery = graphql(`
  query Templates($after: String) {
    templates(first: 50, after: $after) {
      totalCount
      pageInfo {
        hasNextPage
        endCursor
      }
      nodes {
        id
        name
        description
        type
        isPlatform
        vcpus
        memoryMb
        diskSizeMb
        storedBytes
        sourceSandboxId
        createdAt
        allowedActions {
          action
          allowed
          reason
        }
      }
    }
  }
`);

/** The sandboxes that templates were made of, deleted ones too. */
export const SourcesQuery = graphql(`
  query Sources($ids: [ID!]!) {
    nodes(ids: $ids) {
      __typename
      ... on Sandbox {
        id
        name
        state
      }
    }
  }
`);

export const DeleteTemplate = graphql(`
  mutation DeleteTemplate($id: ID!) {
    outcome: deleteTemplate(input: { id: $id }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);
