import type { Problem } from '../api/problem';

/** The API takes numbers of 32 bits; nine digits always fit. */
const DIGITS = /^\d{1,9}$/;

/** A whole number as it was typed; null for nothing, undefined for what is none. Which numbers are allowed is the server's to say. */
export function wholeNumber(text: string): number | null | undefined {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  return DIGITS.test(trimmed) ? Number(trimmed) : undefined;
}

/** What is shown beside a field whose text is no whole number. */
export function noWholeNumber(field: string): Problem {
  return { code: 'INVALID', message: 'Write a whole number.', path: [field], retryable: false };
}
