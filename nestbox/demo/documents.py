"""The GraphQL that the demo and the benchmark speak."""

from graphql import parse

VIEWER = parse("{ viewer { teamName keyName } }")

CREATE = parse("""
mutation Create($input: CreateSandboxInput!) {
  createSandbox(input: $input) {
    sandbox { id state vcpus memoryMb template { name } }
    operation { state stages { name durationMs } error { code message } }
    userErrors { code message }
  }
}
""")

PAUSE = parse("""
mutation Pause($input: PauseSandboxInput!) {
  pauseSandbox(input: $input) {
    sandbox { id state }
    operation { state stages { name durationMs } error { code message } }
    userErrors { code message }
  }
}
""")

RESUME = parse("""
mutation Resume($input: ResumeSandboxInput!) {
  resumeSandbox(input: $input) {
    sandbox { id state }
    operation { state stages { name durationMs } error { code message } }
    userErrors { code message }
  }
}
""")

DELETE = parse("""
mutation Delete($input: DeleteSandboxInput!) {
  deleteSandbox(input: $input) {
    sandbox { id state }
    operation { state error { code message } }
    userErrors { code message }
  }
}
""")

FORK = parse("""
mutation Fork($input: ForkSandboxInput!) {
  forkSandbox(input: $input) {
    parent { id state }
    operation { state stages { name durationMs } error { code message } }
    children {
      sandbox { id state memoryMb }
      operation { state stages { name durationMs } error { code message } }
    }
    userErrors { code message }
  }
}
""")

CREATE_TEMPLATE = parse("""
mutation CreateTemplate($input: CreateTemplateInput!) {
  createTemplate(input: $input) {
    template { id name storedBytes }
    operation { state stages { name durationMs } error { code message } }
    userErrors { code message }
  }
}
""")

DELETE_TEMPLATE = parse("""
mutation DeleteTemplate($input: DeleteTemplateInput!) {
  deleteTemplate(input: $input) {
    operation { state error { code message } }
    userErrors { code message }
  }
}
""")

EXEC = parse("""
mutation Exec($input: ExecInput!) {
  exec(input: $input) {
    result { exitCode stdout stderr durationMs }
    userErrors { code message }
  }
}
""")

WRITE_FILE = parse("""
mutation Write($input: WriteFileInput!) {
  writeFile(input: $input) { file { path sizeBytes } userErrors { code message } }
}
""")

READ_FILE = parse("""
mutation Read($input: ReadFileInput!) {
  readFile(input: $input) { text file { sizeBytes } userErrors { code message } }
}
""")

COUNT = parse("query Count($name: String!) { sandboxes(filter: {nameContains: $name}) { totalCount } }")

LIVE_LIST = parse("""
subscription LiveList($name: String!) {
  sandboxes(filter: {nameContains: $name}) {
    __typename
    ... on SandboxesReset { sandboxes { id state } }
    ... on SandboxChanged { sandbox { id state cause } }
    ... on SandboxRemoved { id reason }
  }
}
""")

LIVE_SANDBOX = parse("""
subscription LiveSandbox($id: ID!) {
  sandbox(id: $id) {
    __typename
    ... on SandboxChanged { sandbox { id state cause } }
    ... on SandboxRemoved { id reason }
  }
}
""")
