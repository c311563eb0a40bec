/** What proves to the server who is using the page: an API key that the page holds, or a cookie that no script can read. */
export type Credential = { kind: 'key'; key: string } | { kind: 'cookie' };

/** Pages of other sites cannot send this header, so with it the server believes the cookie. */
const CSRF = { 'x-nestbox-csrf': '1' };

/** What goes with every request. */
export function headersOf(credential: Credential): Record<string, string> {
  return credential.kind === 'key' ? { authorization: `Bearer ${credential.key}` } : CSRF;
}

/** A key is sent by itself: a cookie of somebody who is signed in as well must not come along. */
export function cookiesOf(credential: Credential): RequestCredentials {
  return credential.kind === 'key' ? 'omit' : 'same-origin';
}
