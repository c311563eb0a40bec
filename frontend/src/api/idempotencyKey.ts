/** A fresh idempotency key: 128 random bits in hex. (`crypto.randomUUID` is missing on plain HTTP to another computer.) */
export function idempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
