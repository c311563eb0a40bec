import { graphql } from '../gql';

/** What a row and the panel show of a sandbox. */
export const SandboxRowFragment = graphql(`
  fragment SandboxRow on Sandbox {
    id
    name
    state
    cause
    detail
    version
    vcpus
    memoryMb
    diskSizeMb
    storedBytes
    parentId
    autoPauseAt
    createdAt
    updatedAt
    template {
      id
      name
    }
    labels {
      key
      value
    }
    allowedActions {
      action
      allowed
      reason
    }
  }
`);

/** One operation until it has ended. */
export const OperationLive = graphql(`
  subscription OperationLive($id: ID!) {
    operation(id: $id) {
      __typename
      ... on OperationChanged {
        operation {
          id
          state
          progressPercent
          error {
            message
          }
        }
      }
    }
  }
`);

export const SandboxesLive = graphql(`
  subscription SandboxesLive($after: String) {
    sandboxes(after: $after) {
      __typename
      ... on SandboxesReset {
        cursor
        truncated
        sandboxes {
          ...SandboxRow
        }
      }
      ... on SandboxChanged {
        cursor
        sandbox {
          ...SandboxRow
        }
      }
      ... on SandboxRemoved {
        cursor
        id
      }
      ... on Heartbeat {
        cursor
      }
    }
  }
`);

/** What the team may have and has. */
export const QuotaLive = graphql(`
  subscription QuotaLive {
    quota {
      __typename
      ... on QuotaChanged {
        quota {
          sandboxes {
            ...QuotaLineFields
          }
          vcpus {
            ...QuotaLineFields
          }
          memoryMb {
            ...QuotaLineFields
          }
          diskMb {
            ...QuotaLineFields
          }
          templates {
            ...QuotaLineFields
          }
          operations {
            ...QuotaLineFields
          }
          requestsPerMinute
        }
      }
    }
  }

  fragment QuotaLineFields on QuotaLine {
    used
    limit
  }
`);
