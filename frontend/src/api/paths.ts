/** Every address that the dashboard uses, built here and nowhere else. All of them are on the origin that served the page. */
export const paths = {
  dashboard: '/',
  explorer: '/explorer',
  graphql: '/graphql',
  /** The same endpoint over WebSocket; absolute, since WebSocket takes no relative address everywhere. */
  graphqlSocket: (): string => new URL(paths.graphql, location.origin.replace(/^http/, 'ws')).href,
  /** The endpoint as a person writes it into a terminal. */
  graphqlAbsolute: (): string => new URL(paths.graphql, location.origin).href,
  /** The dashboard with one sandbox open; a fragment, so that it never reaches the server's log. */
  sandbox: (id: string): string => `#${encodeURIComponent(id)}`,
  sandboxes: '#',
} as const;

/** The sandbox that the fragment of the address names: the inverse of `paths.sandbox`. */
export function sandboxOfFragment(fragment: string): string | null {
  try {
    return decodeURIComponent(fragment.replace(/^#/, '')) || null;
  } catch {
    return null; // a fragment that somebody mangled
  }
}
