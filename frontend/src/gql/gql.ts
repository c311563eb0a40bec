/* eslint-disable */
import * as types from './graphql';
import type { TypedDocumentNode as DocumentNode } from '@graphql-typed-document-node/core';

/**
 * Map of all GraphQL operations in the project.
 *
 * This map has several performance disadvantages:
 * 1. It is not tree-shakeable, so it will include all operations in the project.
 * 2. It is not minifiable, so the string of a GraphQL query will be multiple times inside the bundle.
 * 3. It does not support dead code elimination, so it will add unused operations.
 *
 * Therefore it is highly recommended to use the babel or swc plugin for production.
 * Learn more about it here: https://the-guild.dev/graphql/codegen/plugins/presets/preset-client#reducing-bundle-size
 */
type Documents = {
    "\n  fragment SandboxRow on Sandbox {\n    id\n    name\n    state\n    cause\n    detail\n    version\n    vcpus\n    memoryMb\n    diskSizeMb\n    autoPauseAt\n    createdAt\n    updatedAt\n    template {\n      id\n      name\n    }\n    labels {\n      key\n      value\n    }\n    allowedActions {\n      action\n      allowed\n      reason\n    }\n  }\n": typeof types.SandboxRowFragmentDoc,
    "\n  subscription SandboxesLive($after: String) {\n    sandboxes(after: $after) {\n      __typename\n      ... on SandboxesReset {\n        cursor\n        truncated\n        sandboxes {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxChanged {\n        cursor\n        sandbox {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxRemoved {\n        cursor\n        id\n      }\n      ... on Heartbeat {\n        cursor\n      }\n    }\n  }\n": typeof types.SandboxesLiveDocument,
    "\n  fragment UserErrorFields on UserError {\n    code\n    message\n    path\n    retryable\n  }\n": typeof types.UserErrorFieldsFragmentDoc,
    "\n  mutation CreateSandbox($input: CreateSandboxInput!) {\n    createSandbox(input: $input) {\n      sandbox {\n        id\n        name\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.CreateSandboxDocument,
    "\n  mutation PauseSandbox($id: ID!) {\n    outcome: pauseSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.PauseSandboxDocument,
    "\n  mutation ResumeSandbox($id: ID!) {\n    outcome: resumeSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.ResumeSandboxDocument,
    "\n  mutation StartSandbox($id: ID!) {\n    outcome: startSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.StartSandboxDocument,
    "\n  mutation DeleteSandbox($id: ID!) {\n    outcome: deleteSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.DeleteSandboxDocument,
    "\n  mutation RunCommand($sandboxId: ID!, $shell: String!) {\n    exec(input: { sandboxId: $sandboxId, shell: $shell }) {\n      result {\n        exitCode\n        signal\n        timedOut\n        durationMs\n        stdout\n        stderr\n        stdoutTruncated\n        stderrTruncated\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.RunCommandDocument,
    "\n  query Viewer {\n    viewer {\n      teamName\n      keyName\n      isPlatformAdmin\n    }\n  }\n": typeof types.ViewerDocument,
};
const documents: Documents = {
    "\n  fragment SandboxRow on Sandbox {\n    id\n    name\n    state\n    cause\n    detail\n    version\n    vcpus\n    memoryMb\n    diskSizeMb\n    autoPauseAt\n    createdAt\n    updatedAt\n    template {\n      id\n      name\n    }\n    labels {\n      key\n      value\n    }\n    allowedActions {\n      action\n      allowed\n      reason\n    }\n  }\n": types.SandboxRowFragmentDoc,
    "\n  subscription SandboxesLive($after: String) {\n    sandboxes(after: $after) {\n      __typename\n      ... on SandboxesReset {\n        cursor\n        truncated\n        sandboxes {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxChanged {\n        cursor\n        sandbox {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxRemoved {\n        cursor\n        id\n      }\n      ... on Heartbeat {\n        cursor\n      }\n    }\n  }\n": types.SandboxesLiveDocument,
    "\n  fragment UserErrorFields on UserError {\n    code\n    message\n    path\n    retryable\n  }\n": types.UserErrorFieldsFragmentDoc,
    "\n  mutation CreateSandbox($input: CreateSandboxInput!) {\n    createSandbox(input: $input) {\n      sandbox {\n        id\n        name\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.CreateSandboxDocument,
    "\n  mutation PauseSandbox($id: ID!) {\n    outcome: pauseSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.PauseSandboxDocument,
    "\n  mutation ResumeSandbox($id: ID!) {\n    outcome: resumeSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.ResumeSandboxDocument,
    "\n  mutation StartSandbox($id: ID!) {\n    outcome: startSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.StartSandboxDocument,
    "\n  mutation DeleteSandbox($id: ID!) {\n    outcome: deleteSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.DeleteSandboxDocument,
    "\n  mutation RunCommand($sandboxId: ID!, $shell: String!) {\n    exec(input: { sandboxId: $sandboxId, shell: $shell }) {\n      result {\n        exitCode\n        signal\n        timedOut\n        durationMs\n        stdout\n        stderr\n        stdoutTruncated\n        stderrTruncated\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.RunCommandDocument,
    "\n  query Viewer {\n    viewer {\n      teamName\n      keyName\n      isPlatformAdmin\n    }\n  }\n": types.ViewerDocument,
};

/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 *
 *
 * @example
 * ```ts
 * const query = graphql(`query GetUser($id: ID!) { user(id: $id) { name } }`);
 * ```
 *
 * The query argument is unknown!
 * Please regenerate the types.
 */
export function graphql(source: string): unknown;

/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  fragment SandboxRow on Sandbox {\n    id\n    name\n    state\n    cause\n    detail\n    version\n    vcpus\n    memoryMb\n    diskSizeMb\n    autoPauseAt\n    createdAt\n    updatedAt\n    template {\n      id\n      name\n    }\n    labels {\n      key\n      value\n    }\n    allowedActions {\n      action\n      allowed\n      reason\n    }\n  }\n"): (typeof documents)["\n  fragment SandboxRow on Sandbox {\n    id\n    name\n    state\n    cause\n    detail\n    version\n    vcpus\n    memoryMb\n    diskSizeMb\n    autoPauseAt\n    createdAt\n    updatedAt\n    template {\n      id\n      name\n    }\n    labels {\n      key\n      value\n    }\n    allowedActions {\n      action\n      allowed\n      reason\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  subscription SandboxesLive($after: String) {\n    sandboxes(after: $after) {\n      __typename\n      ... on SandboxesReset {\n        cursor\n        truncated\n        sandboxes {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxChanged {\n        cursor\n        sandbox {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxRemoved {\n        cursor\n        id\n      }\n      ... on Heartbeat {\n        cursor\n      }\n    }\n  }\n"): (typeof documents)["\n  subscription SandboxesLive($after: String) {\n    sandboxes(after: $after) {\n      __typename\n      ... on SandboxesReset {\n        cursor\n        truncated\n        sandboxes {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxChanged {\n        cursor\n        sandbox {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxRemoved {\n        cursor\n        id\n      }\n      ... on Heartbeat {\n        cursor\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  fragment UserErrorFields on UserError {\n    code\n    message\n    path\n    retryable\n  }\n"): (typeof documents)["\n  fragment UserErrorFields on UserError {\n    code\n    message\n    path\n    retryable\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation CreateSandbox($input: CreateSandboxInput!) {\n    createSandbox(input: $input) {\n      sandbox {\n        id\n        name\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation CreateSandbox($input: CreateSandboxInput!) {\n    createSandbox(input: $input) {\n      sandbox {\n        id\n        name\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation PauseSandbox($id: ID!) {\n    outcome: pauseSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation PauseSandbox($id: ID!) {\n    outcome: pauseSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation ResumeSandbox($id: ID!) {\n    outcome: resumeSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation ResumeSandbox($id: ID!) {\n    outcome: resumeSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation StartSandbox($id: ID!) {\n    outcome: startSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation StartSandbox($id: ID!) {\n    outcome: startSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation DeleteSandbox($id: ID!) {\n    outcome: deleteSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation DeleteSandbox($id: ID!) {\n    outcome: deleteSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation RunCommand($sandboxId: ID!, $shell: String!) {\n    exec(input: { sandboxId: $sandboxId, shell: $shell }) {\n      result {\n        exitCode\n        signal\n        timedOut\n        durationMs\n        stdout\n        stderr\n        stdoutTruncated\n        stderrTruncated\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation RunCommand($sandboxId: ID!, $shell: String!) {\n    exec(input: { sandboxId: $sandboxId, shell: $shell }) {\n      result {\n        exitCode\n        signal\n        timedOut\n        durationMs\n        stdout\n        stderr\n        stdoutTruncated\n        stderrTruncated\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query Viewer {\n    viewer {\n      teamName\n      keyName\n      isPlatformAdmin\n    }\n  }\n"): (typeof documents)["\n  query Viewer {\n    viewer {\n      teamName\n      keyName\n      isPlatformAdmin\n    }\n  }\n"];

export function graphql(source: string) {
  return (documents as any)[source] ?? {};
}

export type DocumentType<TDocumentNode extends DocumentNode<any, any>> = TDocumentNode extends DocumentNode<  infer TType,  any>  ? TType  : never;