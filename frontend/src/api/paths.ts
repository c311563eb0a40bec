/** Every address that the dashboard uses, built here and nowhere else. All of them are on the origin that served the page. */
export const paths = {
  dashboard: '/',
  explorer: '/explorer',
  team: '/team',
  templates: '/templates',
  /** Where the link of an invitation leads; its token is the fragment, so that it reaches no log. */
  invitation: '/invitation',
  graphql: '/graphql',
  auth: (what: 'session' | 'sign-in' | 'sign-out' | 'invitations/look' | 'invitations/accept'): string => `/auth/${what}`,
  /** Leads to the other service that signs people in, and back. */
  oidcStart: '/auth/oidc/start',
  /** The same endpoint over WebSocket; absolute, since WebSocket takes no relative address everywhere. */
  graphqlSocket: (): string => new URL(paths.graphql, location.origin.replace(/^http/, 'ws')).href,
  /** The endpoint as a person writes it into a terminal. */
  graphqlAbsolute: (): string => new URL(paths.graphql, location.origin).href,
  /** The dashboard with one sandbox open; a fragment, so that it never reaches the server's log. */
  sandbox: (id: string): string => `#${encodeURIComponent(id)}`,
  sandboxes: '#',
} as const;

/** Whether the other service sent somebody back without having signed them in: the server says so in the fragment. */
export const signInFailure = (): boolean => location.hash.startsWith('#sign-in-failed=');

/** A link that the API gave, as a person can send it to somebody: a path becomes an address of this platform. */
export const absolute = (link: string): string => new URL(link, location.origin).href;

/** The sandbox that the fragment of the address names: the inverse of `paths.sandbox`. */
export function sandboxOfFragment(fragment: string): string | null {
  try {
    return decodeURIComponent(fragment.replace(/^#/, '')) || null;
  } catch {
    return null; // a fragment that somebody mangled
  }
}
