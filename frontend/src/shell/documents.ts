import { graphql } from '../gql';

export const ViewerQuery = graphql(`
  query Viewer {
    viewer {
      teamName
      keyName
      isPlatformAdmin
    }
  }
`);
