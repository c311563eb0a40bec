import type { Role, Scope } from '../gql/graphql';

/** Every role and every scope, the least first. The types are the schema's: a new one there is an error here. */
export const ROLES = Object.keys({ MEMBER: 1, ADMIN: 1, OWNER: 1 } satisfies Record<Role, 1>) as Role[];

export const SCOPES: Record<Scope, string> = {
  READ: 'Look at everything, and read files',
  WRITE: 'Use sandboxes and templates as well',
  TEAM_ADMIN: 'Administer the team as well',
};
