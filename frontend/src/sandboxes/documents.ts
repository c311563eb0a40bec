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

export const ForkSandbox = graphql(`
  mutation ForkSandbox($input: ForkSandboxInput!) {
    forkSandbox(input: $input) {
      operation {
        id
      }
      children {
        sandbox {
          id
        }
      }
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

export const CreateTemplate = graphql(`
  mutation CreateTemplate($input: CreateTemplateInput!) {
    createTemplate(input: $input) {
      operation {
        id
      }
      userErrors {
        ...UserErrorFields
      }
    }
  }
`);

/** The templates that a new sandbox can start from, as the form for one needs them. */
export const TemplateChoices = graphql(`
  query TemplateChoices($after: String) {
    templates(first: 100, after: $after) {
      pageInfo {
        hasNextPage
        endCursor
      }
      nodes {
        id
        name
        isPlatform
        vcpus
        memoryMb
        diskSizeMb
      }
    }
  }
`);

/** The sandbox that another one was forked from, which may be deleted. */
export const Parent = graphql(`
  query Parent($id: ID!) {
    sandbox(id: $id) {
      id
      name
      state
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
