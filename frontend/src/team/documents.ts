import { graphql } from '../gql';

export const TeamQuery = graphql(`
  query Team($admin: Boolean!, $keysAfter: String, $membersAfter: String) {
    team {
      id
      name
      members(first: 100, after: $membersAfter) {
        totalCount
        pageInfo {
          hasNextPage
          endCursor
        }
        nodes {
          id
          name
          email
          role
          deactivated
        }
      }
      invitations(first: 100) @include(if: $admin) {
        nodes {
          id
          email
          role
          invitedBy
          expiresAt
        }
      }
      apiKeys(first: 50, after: $keysAfter) @include(if: $admin) {
        pageInfo {
          hasNextPage
          endCursor
        }
        nodes {
          id
          name
          scopes
          createdBy
          createdAt
          lastUsedAt
          expiresAt
          revokedAt
        }
      }
    }
  }
`);

export const InviteMember = graphql(`
  mutation InviteMember($email: String!, $role: Role!) {
    inviteMember(input: { email: $email, role: $role }) {
      link
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const RevokeInvitation = graphql(`
  mutation RevokeInvitation($id: ID!) {
    outcome: revokeInvitation(input: { id: $id }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const ChangeMemberRole = graphql(`
  mutation ChangeMemberRole($userId: ID!, $role: Role!) {
    outcome: changeMemberRole(input: { userId: $userId, role: $role }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const RemoveMember = graphql(`
  mutation RemoveMember($userId: ID!) {
    outcome: removeMember(input: { userId: $userId }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const TransferOwnership = graphql(`
  mutation TransferOwnership($userId: ID!) {
    outcome: transferOwnership(input: { userId: $userId }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const LeaveTeam = graphql(`
  mutation LeaveTeam($teamId: ID!) {
    outcome: leaveTeam(input: { teamId: $teamId }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const CreateTeam = graphql(`
  mutation CreateTeam($name: String!) {
    createTeam(input: { name: $name }) {
      team {
        id
      }
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const CreateApiKey = graphql(`
  mutation CreateApiKey($input: CreateApiKeyInput!) {
    createApiKey(input: $input) {
      key
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const RevokeApiKey = graphql(`
  mutation RevokeApiKey($id: ID!) {
    outcome: revokeApiKey(input: { id: $id }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const ChangePassword = graphql(`
  mutation ChangePassword($current: String!, $new: String!) {
    outcome: changePassword(input: { currentPassword: $current, newPassword: $new }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);
