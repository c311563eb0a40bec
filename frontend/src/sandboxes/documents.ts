import { graphql } from '../gql';

export const UserErrorFields = graphql(`
  fragment UserErrorFields on UserError {
    code
    message
    path
    retryable
  }
`);

export const CreateSandbox = graphql(`
  mutation CreateSandbox($input: CreateSandboxInput!) {
    createSandbox(input: $input) {
      sandbox {
        id
        name
      }
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const PauseSandbox = graphql(`
  mutation PauseSandbox($id: ID!) {
    outcome: pauseSandbox(input: { id: $id }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const ResumeSandbox = graphql(`
  mutation ResumeSandbox($id: ID!) {
    outcome: resumeSandbox(input: { id: $id }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const StartSandbox = graphql(`
  mutation StartSandbox($id: ID!) {
    outcome: startSandbox(input: { id: $id }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const DeleteSandbox = graphql(`
  mutation DeleteSandbox($id: ID!) {
    outcome: deleteSandbox(input: { id: $id }) {
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const RunCommand = graphql(`
  mutation RunCommand($sandboxId: ID!, $shell: String!) {
    exec(input: { sandboxId: $sandboxId, shell: $shell }) {
      result {
        exitCode
        signal
        timedOut
        durationMs
        stdout
        stderr
        stdoutTruncated
        stderrTruncated
      }
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);
