import { graphql } from '../gql';

export const ViewerQuery = graphql(`
  query Viewer {
    viewer {
      id
      name
      email
      teamId
      teamName
      role
      scopes
      isPlatformAdmin
      teams {
        id
        name
        role
      }
    }
  }
`);

export const SwitchTeam = graphql(`
  mutation SwitchTeam($teamId: ID!) {
    switchTeam(input: { teamId: $teamId }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);
