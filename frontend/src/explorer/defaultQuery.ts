/** What a newcomer finds in the editor: operations that work as they are, each saying what it is for. */
export const DEFAULT_QUERY = `# Nestbox's GraphQL API, with your own key.
# Ctrl-Enter runs the operation under the cursor,
# Ctrl-Space completes; the book on the left documents
# every type and field.

# What there is.
query Sandboxes {
  sandboxes(first: 20) {
    totalCount
    nodes {
      id
      name
      state
      createdAt
      allowedActions {
        action
        allowed
        reason
      }
    }
  }
}

# A new sandbox. What cannot be done is said in userErrors.
mutation Create {
  createSandbox(input: { name: "from-the-explorer" }) {
    sandbox {
      id
      state
    }
    operation {
      stages {
        name
        durationMs
      }
    }
    userErrors {
      code
      message
      path
    }
  }
}

# Runs a command in it.
# Put {"id": "sb-…"} into the variables below.
mutation Run($id: ID!) {
  exec(input: { sandboxId: $id, shell: "uname -a; python3 --version" }) {
    result {
      exitCode
      stdout
      stderr
      durationMs
    }
    userErrors {
      code
      message
    }
  }
}

# What there is, then everything that happens to it.
subscription Watch {
  sandboxes {
    __typename
    ... on SandboxesReset {
      cursor
      sandboxes {
        id
        name
        state
      }
    }
    ... on SandboxChanged {
      cursor
      sandbox {
        id
        name
        state
        cause
      }
    }
    ... on SandboxRemoved {
      id
      reason
    }
    ... on Heartbeat {
      at
    }
  }
}
`;
