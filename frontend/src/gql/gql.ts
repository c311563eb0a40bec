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
    "\n  fragment SandboxRow on Sandbox {\n    id\n    name\n    state\n    cause\n    detail\n    version\n    vcpus\n    memoryMb\n    diskSizeMb\n    storedBytes\n    parentId\n    autoPauseAt\n    createdAt\n    updatedAt\n    template {\n      id\n      name\n    }\n    labels {\n      key\n      value\n    }\n    allowedActions {\n      action\n      allowed\n      reason\n    }\n  }\n": typeof types.SandboxRowFragmentDoc,
    "\n  subscription OperationLive($id: ID!) {\n    operation(id: $id) {\n      __typename\n      ... on OperationChanged {\n        operation {\n          id\n          state\n          progressPercent\n          error {\n            message\n          }\n        }\n      }\n    }\n  }\n": typeof types.OperationLiveDocument,
    "\n  subscription SandboxesLive($after: String) {\n    sandboxes(after: $after) {\n      __typename\n      ... on SandboxesReset {\n        cursor\n        truncated\n        sandboxes {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxChanged {\n        cursor\n        sandbox {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxRemoved {\n        cursor\n        id\n      }\n      ... on Heartbeat {\n        cursor\n      }\n    }\n  }\n": typeof types.SandboxesLiveDocument,
    "\n  subscription QuotaLive {\n    quota {\n      __typename\n      ... on QuotaChanged {\n        quota {\n          sandboxes {\n            ...QuotaLineFields\n          }\n          vcpus {\n            ...QuotaLineFields\n          }\n          memoryMb {\n            ...QuotaLineFields\n          }\n          diskMb {\n            ...QuotaLineFields\n          }\n          templates {\n            ...QuotaLineFields\n          }\n          operations {\n            ...QuotaLineFields\n          }\n          requestsPerMinute\n        }\n      }\n    }\n  }\n\n  fragment QuotaLineFields on QuotaLine {\n    used\n    limit\n  }\n": typeof types.QuotaLiveDocument,
    "\n  fragment UserErrorFields on UserError {\n    code\n    message\n    path\n    retryable\n  }\n": typeof types.UserErrorFieldsFragmentDoc,
    "\n  mutation CreateSandbox($input: CreateSandboxInput!) {\n    createSandbox(input: $input) {\n      sandbox {\n        id\n        name\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.CreateSandboxDocument,
    "\n  mutation ForkSandbox($input: ForkSandboxInput!) {\n    forkSandbox(input: $input) {\n      operation {\n        id\n      }\n      children {\n        sandbox {\n          id\n        }\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.ForkSandboxDocument,
    "\n  mutation CreateTemplate($input: CreateTemplateInput!) {\n    createTemplate(input: $input) {\n      operation {\n        id\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.CreateTemplateDocument,
    "\n  query TemplateChoices($after: String) {\n    templates(first: 100, after: $after) {\n      pageInfo {\n        hasNextPage\n        endCursor\n      }\n      nodes {\n        id\n        name\n        isPlatform\n        vcpus\n        memoryMb\n        diskSizeMb\n      }\n    }\n  }\n": typeof types.TemplateChoicesDocument,
    "\n  query Parent($id: ID!) {\n    sandbox(id: $id) {\n      id\n      name\n      state\n    }\n  }\n": typeof types.ParentDocument,
    "\n  mutation PauseSandbox($id: ID!) {\n    outcome: pauseSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.PauseSandboxDocument,
    "\n  mutation ResumeSandbox($id: ID!) {\n    outcome: resumeSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.ResumeSandboxDocument,
    "\n  mutation StartSandbox($id: ID!) {\n    outcome: startSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.StartSandboxDocument,
    "\n  mutation DeleteSandbox($id: ID!) {\n    outcome: deleteSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.DeleteSandboxDocument,
    "\n  mutation RunCommand($sandboxId: ID!, $shell: String!) {\n    exec(input: { sandboxId: $sandboxId, shell: $shell }) {\n      result {\n        exitCode\n        signal\n        timedOut\n        durationMs\n        stdout\n        stderr\n        stdoutTruncated\n        stderrTruncated\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.RunCommandDocument,
    "\n  query Viewer {\n    viewer {\n      id\n      name\n      email\n      teamId\n      teamName\n      role\n      scopes\n      isPlatformAdmin\n      teams {\n        id\n        name\n        role\n      }\n    }\n  }\n": typeof types.ViewerDocument,
    "\n  mutation SwitchTeam($teamId: ID!) {\n    switchTeam(input: { teamId: $teamId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.SwitchTeamDocument,
    "\n  query Team($admin: Boolean!, $keysAfter: String, $membersAfter: String) {\n    team {\n      id\n      name\n      members(first: 100, after: $membersAfter) {\n        totalCount\n        pageInfo {\n          hasNextPage\n          endCursor\n        }\n        nodes {\n          id\n          name\n          email\n          role\n          deactivated\n        }\n      }\n      invitations(first: 100) @include(if: $admin) {\n        nodes {\n          id\n          email\n          role\n          invitedBy\n          expiresAt\n        }\n      }\n      apiKeys(first: 50, after: $keysAfter) @include(if: $admin) {\n        pageInfo {\n          hasNextPage\n          endCursor\n        }\n        nodes {\n          id\n          name\n          scopes\n          createdBy\n          createdAt\n          lastUsedAt\n          expiresAt\n          revokedAt\n        }\n      }\n    }\n  }\n": typeof types.TeamDocument,
    "\n  mutation InviteMember($email: String!, $role: Role!) {\n    inviteMember(input: { email: $email, role: $role }) {\n      link\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.InviteMemberDocument,
    "\n  mutation RevokeInvitation($id: ID!) {\n    outcome: revokeInvitation(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.RevokeInvitationDocument,
    "\n  mutation ChangeMemberRole($userId: ID!, $role: Role!) {\n    outcome: changeMemberRole(input: { userId: $userId, role: $role }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.ChangeMemberRoleDocument,
    "\n  mutation RemoveMember($userId: ID!) {\n    outcome: removeMember(input: { userId: $userId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.RemoveMemberDocument,
    "\n  mutation TransferOwnership($userId: ID!) {\n    outcome: transferOwnership(input: { userId: $userId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.TransferOwnershipDocument,
    "\n  mutation LeaveTeam($teamId: ID!) {\n    outcome: leaveTeam(input: { teamId: $teamId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.LeaveTeamDocument,
    "\n  mutation CreateTeam($name: String!) {\n    createTeam(input: { name: $name }) {\n      team {\n        id\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.CreateTeamDocument,
    "\n  mutation CreateApiKey($input: CreateApiKeyInput!) {\n    createApiKey(input: $input) {\n      key\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.CreateApiKeyDocument,
    "\n  mutation RevokeApiKey($id: ID!) {\n    outcome: revokeApiKey(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.RevokeApiKeyDocument,
    "\n  mutation ChangePassword($current: String!, $new: String!) {\n    outcome: changePassword(input: { currentPassword: $current, newPassword: $new }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.ChangePasswordDocument,
    "\n  query Templates($after: String) {\n    templates(first: 50, after: $after) {\n      totalCount\n      pageInfo {\n        hasNextPage\n        endCursor\n      }\n      nodes {\n        id\n        name\n        description\n        type\n        isPlatform\n        vcpus\n        memoryMb\n        diskSizeMb\n        storedBytes\n        sourceSandboxId\n        createdAt\n        allowedActions {\n          action\n          allowed\n          reason\n        }\n      }\n    }\n  }\n": typeof types.TemplatesDocument,
    "\n  query Sources($ids: [ID!]!) {\n    nodes(ids: $ids) {\n      __typename\n      ... on Sandbox {\n        id\n        name\n        state\n      }\n    }\n  }\n": typeof types.SourcesDocument,
    "\n  mutation DeleteTemplate($id: ID!) {\n    outcome: deleteTemplate(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": typeof types.DeleteTemplateDocument,
};
const documents: Documents = {
    "\n  fragment SandboxRow on Sandbox {\n    id\n    name\n    state\n    cause\n    detail\n    version\n    vcpus\n    memoryMb\n    diskSizeMb\n    storedBytes\n    parentId\n    autoPauseAt\n    createdAt\n    updatedAt\n    template {\n      id\n      name\n    }\n    labels {\n      key\n      value\n    }\n    allowedActions {\n      action\n      allowed\n      reason\n    }\n  }\n": types.SandboxRowFragmentDoc,
    "\n  subscription OperationLive($id: ID!) {\n    operation(id: $id) {\n      __typename\n      ... on OperationChanged {\n        operation {\n          id\n          state\n          progressPercent\n          error {\n            message\n          }\n        }\n      }\n    }\n  }\n": types.OperationLiveDocument,
    "\n  subscription SandboxesLive($after: String) {\n    sandboxes(after: $after) {\n      __typename\n      ... on SandboxesReset {\n        cursor\n        truncated\n        sandboxes {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxChanged {\n        cursor\n        sandbox {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxRemoved {\n        cursor\n        id\n      }\n      ... on Heartbeat {\n        cursor\n      }\n    }\n  }\n": types.SandboxesLiveDocument,
    "\n  subscription QuotaLive {\n    quota {\n      __typename\n      ... on QuotaChanged {\n        quota {\n          sandboxes {\n            ...QuotaLineFields\n          }\n          vcpus {\n            ...QuotaLineFields\n          }\n          memoryMb {\n            ...QuotaLineFields\n          }\n          diskMb {\n            ...QuotaLineFields\n          }\n          templates {\n            ...QuotaLineFields\n          }\n          operations {\n            ...QuotaLineFields\n          }\n          requestsPerMinute\n        }\n      }\n    }\n  }\n\n  fragment QuotaLineFields on QuotaLine {\n    used\n    limit\n  }\n": types.QuotaLiveDocument,
    "\n  fragment UserErrorFields on UserError {\n    code\n    message\n    path\n    retryable\n  }\n": types.UserErrorFieldsFragmentDoc,
    "\n  mutation CreateSandbox($input: CreateSandboxInput!) {\n    createSandbox(input: $input) {\n      sandbox {\n        id\n        name\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.CreateSandboxDocument,
    "\n  mutation ForkSandbox($input: ForkSandboxInput!) {\n    forkSandbox(input: $input) {\n      operation {\n        id\n      }\n      children {\n        sandbox {\n          id\n        }\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.ForkSandboxDocument,
    "\n  mutation CreateTemplate($input: CreateTemplateInput!) {\n    createTemplate(input: $input) {\n      operation {\n        id\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.CreateTemplateDocument,
    "\n  query TemplateChoices($after: String) {\n    templates(first: 100, after: $after) {\n      pageInfo {\n        hasNextPage\n        endCursor\n      }\n      nodes {\n        id\n        name\n        isPlatform\n        vcpus\n        memoryMb\n        diskSizeMb\n      }\n    }\n  }\n": types.TemplateChoicesDocument,
    "\n  query Parent($id: ID!) {\n    sandbox(id: $id) {\n      id\n      name\n      state\n    }\n  }\n": types.ParentDocument,
    "\n  mutation PauseSandbox($id: ID!) {\n    outcome: pauseSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.PauseSandboxDocument,
    "\n  mutation ResumeSandbox($id: ID!) {\n    outcome: resumeSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.ResumeSandboxDocument,
    "\n  mutation StartSandbox($id: ID!) {\n    outcome: startSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.StartSandboxDocument,
    "\n  mutation DeleteSandbox($id: ID!) {\n    outcome: deleteSandbox(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.DeleteSandboxDocument,
    "\n  mutation RunCommand($sandboxId: ID!, $shell: String!) {\n    exec(input: { sandboxId: $sandboxId, shell: $shell }) {\n      result {\n        exitCode\n        signal\n        timedOut\n        durationMs\n        stdout\n        stderr\n        stdoutTruncated\n        stderrTruncated\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.RunCommandDocument,
    "\n  query Viewer {\n    viewer {\n      id\n      name\n      email\n      teamId\n      teamName\n      role\n      scopes\n      isPlatformAdmin\n      teams {\n        id\n        name\n        role\n      }\n    }\n  }\n": types.ViewerDocument,
    "\n  mutation SwitchTeam($teamId: ID!) {\n    switchTeam(input: { teamId: $teamId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.SwitchTeamDocument,
    "\n  query Team($admin: Boolean!, $keysAfter: String, $membersAfter: String) {\n    team {\n      id\n      name\n      members(first: 100, after: $membersAfter) {\n        totalCount\n        pageInfo {\n          hasNextPage\n          endCursor\n        }\n        nodes {\n          id\n          name\n          email\n          role\n          deactivated\n        }\n      }\n      invitations(first: 100) @include(if: $admin) {\n        nodes {\n          id\n          email\n          role\n          invitedBy\n          expiresAt\n        }\n      }\n      apiKeys(first: 50, after: $keysAfter) @include(if: $admin) {\n        pageInfo {\n          hasNextPage\n          endCursor\n        }\n        nodes {\n          id\n          name\n          scopes\n          createdBy\n          createdAt\n          lastUsedAt\n          expiresAt\n          revokedAt\n        }\n      }\n    }\n  }\n": types.TeamDocument,
    "\n  mutation InviteMember($email: String!, $role: Role!) {\n    inviteMember(input: { email: $email, role: $role }) {\n      link\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.InviteMemberDocument,
    "\n  mutation RevokeInvitation($id: ID!) {\n    outcome: revokeInvitation(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.RevokeInvitationDocument,
    "\n  mutation ChangeMemberRole($userId: ID!, $role: Role!) {\n    outcome: changeMemberRole(input: { userId: $userId, role: $role }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.ChangeMemberRoleDocument,
    "\n  mutation RemoveMember($userId: ID!) {\n    outcome: removeMember(input: { userId: $userId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.RemoveMemberDocument,
    "\n  mutation TransferOwnership($userId: ID!) {\n    outcome: transferOwnership(input: { userId: $userId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.TransferOwnershipDocument,
    "\n  mutation LeaveTeam($teamId: ID!) {\n    outcome: leaveTeam(input: { teamId: $teamId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.LeaveTeamDocument,
    "\n  mutation CreateTeam($name: String!) {\n    createTeam(input: { name: $name }) {\n      team {\n        id\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.CreateTeamDocument,
    "\n  mutation CreateApiKey($input: CreateApiKeyInput!) {\n    createApiKey(input: $input) {\n      key\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.CreateApiKeyDocument,
    "\n  mutation RevokeApiKey($id: ID!) {\n    outcome: revokeApiKey(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.RevokeApiKeyDocument,
    "\n  mutation ChangePassword($current: String!, $new: String!) {\n    outcome: changePassword(input: { currentPassword: $current, newPassword: $new }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.ChangePasswordDocument,
    "\n  query Templates($after: String) {\n    templates(first: 50, after: $after) {\n      totalCount\n      pageInfo {\n        hasNextPage\n        endCursor\n      }\n      nodes {\n        id\n        name\n        description\n        type\n        isPlatform\n        vcpus\n        memoryMb\n        diskSizeMb\n        storedBytes\n        sourceSandboxId\n        createdAt\n        allowedActions {\n          action\n          allowed\n          reason\n        }\n      }\n    }\n  }\n": types.TemplatesDocument,
    "\n  query Sources($ids: [ID!]!) {\n    nodes(ids: $ids) {\n      __typename\n      ... on Sandbox {\n        id\n        name\n        state\n      }\n    }\n  }\n": types.SourcesDocument,
    "\n  mutation DeleteTemplate($id: ID!) {\n    outcome: deleteTemplate(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n": types.DeleteTemplateDocument,
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
export function graphql(source: "\n  fragment SandboxRow on Sandbox {\n    id\n    name\n    state\n    cause\n    detail\n    version\n    vcpus\n    memoryMb\n    diskSizeMb\n    storedBytes\n    parentId\n    autoPauseAt\n    createdAt\n    updatedAt\n    template {\n      id\n      name\n    }\n    labels {\n      key\n      value\n    }\n    allowedActions {\n      action\n      allowed\n      reason\n    }\n  }\n"): (typeof documents)["\n  fragment SandboxRow on Sandbox {\n    id\n    name\n    state\n    cause\n    detail\n    version\n    vcpus\n    memoryMb\n    diskSizeMb\n    storedBytes\n    parentId\n    autoPauseAt\n    createdAt\n    updatedAt\n    template {\n      id\n      name\n    }\n    labels {\n      key\n      value\n    }\n    allowedActions {\n      action\n      allowed\n      reason\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  subscription OperationLive($id: ID!) {\n    operation(id: $id) {\n      __typename\n      ... on OperationChanged {\n        operation {\n          id\n          state\n          progressPercent\n          error {\n            message\n          }\n        }\n      }\n    }\n  }\n"): (typeof documents)["\n  subscription OperationLive($id: ID!) {\n    operation(id: $id) {\n      __typename\n      ... on OperationChanged {\n        operation {\n          id\n          state\n          progressPercent\n          error {\n            message\n          }\n        }\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  subscription SandboxesLive($after: String) {\n    sandboxes(after: $after) {\n      __typename\n      ... on SandboxesReset {\n        cursor\n        truncated\n        sandboxes {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxChanged {\n        cursor\n        sandbox {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxRemoved {\n        cursor\n        id\n      }\n      ... on Heartbeat {\n        cursor\n      }\n    }\n  }\n"): (typeof documents)["\n  subscription SandboxesLive($after: String) {\n    sandboxes(after: $after) {\n      __typename\n      ... on SandboxesReset {\n        cursor\n        truncated\n        sandboxes {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxChanged {\n        cursor\n        sandbox {\n          ...SandboxRow\n        }\n      }\n      ... on SandboxRemoved {\n        cursor\n        id\n      }\n      ... on Heartbeat {\n        cursor\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  subscription QuotaLive {\n    quota {\n      __typename\n      ... on QuotaChanged {\n        quota {\n          sandboxes {\n            ...QuotaLineFields\n          }\n          vcpus {\n            ...QuotaLineFields\n          }\n          memoryMb {\n            ...QuotaLineFields\n          }\n          diskMb {\n            ...QuotaLineFields\n          }\n          templates {\n            ...QuotaLineFields\n          }\n          operations {\n            ...QuotaLineFields\n          }\n          requestsPerMinute\n        }\n      }\n    }\n  }\n\n  fragment QuotaLineFields on QuotaLine {\n    used\n    limit\n  }\n"): (typeof documents)["\n  subscription QuotaLive {\n    quota {\n      __typename\n      ... on QuotaChanged {\n        quota {\n          sandboxes {\n            ...QuotaLineFields\n          }\n          vcpus {\n            ...QuotaLineFields\n          }\n          memoryMb {\n            ...QuotaLineFields\n          }\n          diskMb {\n            ...QuotaLineFields\n          }\n          templates {\n            ...QuotaLineFields\n          }\n          operations {\n            ...QuotaLineFields\n          }\n          requestsPerMinute\n        }\n      }\n    }\n  }\n\n  fragment QuotaLineFields on QuotaLine {\n    used\n    limit\n  }\n"];
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
export function graphql(source: "\n  mutation ForkSandbox($input: ForkSandboxInput!) {\n    forkSandbox(input: $input) {\n      operation {\n        id\n      }\n      children {\n        sandbox {\n          id\n        }\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation ForkSandbox($input: ForkSandboxInput!) {\n    forkSandbox(input: $input) {\n      operation {\n        id\n      }\n      children {\n        sandbox {\n          id\n        }\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation CreateTemplate($input: CreateTemplateInput!) {\n    createTemplate(input: $input) {\n      operation {\n        id\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation CreateTemplate($input: CreateTemplateInput!) {\n    createTemplate(input: $input) {\n      operation {\n        id\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query TemplateChoices($after: String) {\n    templates(first: 100, after: $after) {\n      pageInfo {\n        hasNextPage\n        endCursor\n      }\n      nodes {\n        id\n        name\n        isPlatform\n        vcpus\n        memoryMb\n        diskSizeMb\n      }\n    }\n  }\n"): (typeof documents)["\n  query TemplateChoices($after: String) {\n    templates(first: 100, after: $after) {\n      pageInfo {\n        hasNextPage\n        endCursor\n      }\n      nodes {\n        id\n        name\n        isPlatform\n        vcpus\n        memoryMb\n        diskSizeMb\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query Parent($id: ID!) {\n    sandbox(id: $id) {\n      id\n      name\n      state\n    }\n  }\n"): (typeof documents)["\n  query Parent($id: ID!) {\n    sandbox(id: $id) {\n      id\n      name\n      state\n    }\n  }\n"];
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
export function graphql(source: "\n  query Viewer {\n    viewer {\n      id\n      name\n      email\n      teamId\n      teamName\n      role\n      scopes\n      isPlatformAdmin\n      teams {\n        id\n        name\n        role\n      }\n    }\n  }\n"): (typeof documents)["\n  query Viewer {\n    viewer {\n      id\n      name\n      email\n      teamId\n      teamName\n      role\n      scopes\n      isPlatformAdmin\n      teams {\n        id\n        name\n        role\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation SwitchTeam($teamId: ID!) {\n    switchTeam(input: { teamId: $teamId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation SwitchTeam($teamId: ID!) {\n    switchTeam(input: { teamId: $teamId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query Team($admin: Boolean!, $keysAfter: String, $membersAfter: String) {\n    team {\n      id\n      name\n      members(first: 100, after: $membersAfter) {\n        totalCount\n        pageInfo {\n          hasNextPage\n          endCursor\n        }\n        nodes {\n          id\n          name\n          email\n          role\n          deactivated\n        }\n      }\n      invitations(first: 100) @include(if: $admin) {\n        nodes {\n          id\n          email\n          role\n          invitedBy\n          expiresAt\n        }\n      }\n      apiKeys(first: 50, after: $keysAfter) @include(if: $admin) {\n        pageInfo {\n          hasNextPage\n          endCursor\n        }\n        nodes {\n          id\n          name\n          scopes\n          createdBy\n          createdAt\n          lastUsedAt\n          expiresAt\n          revokedAt\n        }\n      }\n    }\n  }\n"): (typeof documents)["\n  query Team($admin: Boolean!, $keysAfter: String, $membersAfter: String) {\n    team {\n      id\n      name\n      members(first: 100, after: $membersAfter) {\n        totalCount\n        pageInfo {\n          hasNextPage\n          endCursor\n        }\n        nodes {\n          id\n          name\n          email\n          role\n          deactivated\n        }\n      }\n      invitations(first: 100) @include(if: $admin) {\n        nodes {\n          id\n          email\n          role\n          invitedBy\n          expiresAt\n        }\n      }\n      apiKeys(first: 50, after: $keysAfter) @include(if: $admin) {\n        pageInfo {\n          hasNextPage\n          endCursor\n        }\n        nodes {\n          id\n          name\n          scopes\n          createdBy\n          createdAt\n          lastUsedAt\n          expiresAt\n          revokedAt\n        }\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation InviteMember($email: String!, $role: Role!) {\n    inviteMember(input: { email: $email, role: $role }) {\n      link\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation InviteMember($email: String!, $role: Role!) {\n    inviteMember(input: { email: $email, role: $role }) {\n      link\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation RevokeInvitation($id: ID!) {\n    outcome: revokeInvitation(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation RevokeInvitation($id: ID!) {\n    outcome: revokeInvitation(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation ChangeMemberRole($userId: ID!, $role: Role!) {\n    outcome: changeMemberRole(input: { userId: $userId, role: $role }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation ChangeMemberRole($userId: ID!, $role: Role!) {\n    outcome: changeMemberRole(input: { userId: $userId, role: $role }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation RemoveMember($userId: ID!) {\n    outcome: removeMember(input: { userId: $userId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation RemoveMember($userId: ID!) {\n    outcome: removeMember(input: { userId: $userId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation TransferOwnership($userId: ID!) {\n    outcome: transferOwnership(input: { userId: $userId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation TransferOwnership($userId: ID!) {\n    outcome: transferOwnership(input: { userId: $userId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation LeaveTeam($teamId: ID!) {\n    outcome: leaveTeam(input: { teamId: $teamId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation LeaveTeam($teamId: ID!) {\n    outcome: leaveTeam(input: { teamId: $teamId }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation CreateTeam($name: String!) {\n    createTeam(input: { name: $name }) {\n      team {\n        id\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation CreateTeam($name: String!) {\n    createTeam(input: { name: $name }) {\n      team {\n        id\n      }\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation CreateApiKey($input: CreateApiKeyInput!) {\n    createApiKey(input: $input) {\n      key\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation CreateApiKey($input: CreateApiKeyInput!) {\n    createApiKey(input: $input) {\n      key\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation RevokeApiKey($id: ID!) {\n    outcome: revokeApiKey(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation RevokeApiKey($id: ID!) {\n    outcome: revokeApiKey(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation ChangePassword($current: String!, $new: String!) {\n    outcome: changePassword(input: { currentPassword: $current, newPassword: $new }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation ChangePassword($current: String!, $new: String!) {\n    outcome: changePassword(input: { currentPassword: $current, newPassword: $new }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query Templates($after: String) {\n    templates(first: 50, after: $after) {\n      totalCount\n      pageInfo {\n        hasNextPage\n        endCursor\n      }\n      nodes {\n        id\n        name\n        description\n        type\n        isPlatform\n        vcpus\n        memoryMb\n        diskSizeMb\n        storedBytes\n        sourceSandboxId\n        createdAt\n        allowedActions {\n          action\n          allowed\n          reason\n        }\n      }\n    }\n  }\n"): (typeof documents)["\n  query Templates($after: String) {\n    templates(first: 50, after: $after) {\n      totalCount\n      pageInfo {\n        hasNextPage\n        endCursor\n      }\n      nodes {\n        id\n        name\n        description\n        type\n        isPlatform\n        vcpus\n        memoryMb\n        diskSizeMb\n        storedBytes\n        sourceSandboxId\n        createdAt\n        allowedActions {\n          action\n          allowed\n          reason\n        }\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query Sources($ids: [ID!]!) {\n    nodes(ids: $ids) {\n      __typename\n      ... on Sandbox {\n        id\n        name\n        state\n      }\n    }\n  }\n"): (typeof documents)["\n  query Sources($ids: [ID!]!) {\n    nodes(ids: $ids) {\n      __typename\n      ... on Sandbox {\n        id\n        name\n        state\n      }\n    }\n  }\n"];
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation DeleteTemplate($id: ID!) {\n    outcome: deleteTemplate(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"): (typeof documents)["\n  mutation DeleteTemplate($id: ID!) {\n    outcome: deleteTemplate(input: { id: $id }) {\n      userErrors {\n        ...UserErrorFields\n      }\n    }\n  }\n"];

export function graphql(source: string) {
  return (documents as any)[source] ?? {};
}

export type DocumentType<TDocumentNode extends DocumentNode<any, any>> = TDocumentNode extends DocumentNode<  infer TType,  any>  ? TType  : never;