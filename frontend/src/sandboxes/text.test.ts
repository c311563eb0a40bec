import { expect, test } from 'vitest';

import { age, duration, mebibytes } from '../ui/format';
import { parseLabels } from './labels';
import { terminalText } from './terminalText';

test('output of programs loses its colours and shows its control characters', () => {
  expect(terminalText('\u001b[31mred\u001b[0m\r\nnext')).toBe('red\nnext');
  expect(terminalText('\u001b]0;title\u0007a\u0000b\u007f')).toBe('a␀b␡');
  expect(terminalText('a\u001b')).toBe('a␛');
  expect(terminalText('<b>\ttab</b>\n')).toBe('<b>\ttab</b>\n');
});

test('labels are read from a line', () => {
  expect(parseLabels(' team = web ,tier=a=b,, alone')).toEqual([
    { key: 'team', value: 'web' },
    { key: 'tier', value: 'a=b' },
    { key: 'alone', value: '' },
  ]);
  expect(parseLabels('')).toEqual([]);
});

test('quantities are written as people write them', () => {
  const since = '2026-01-01T00:00:00Z';
  const then = Date.parse(since);
  expect([-5e3, 12e3, 185e3, 7.3e6, 4e8].map((ms) => age(since, then + ms))).toEqual(['0 s', '12 s', '3 m', '2 h', '4 d']);
  expect([512, 1536, 5120].map(mebibytes)).toEqual(['512 MiB', '1.5 GiB', '5 GiB']);
  expect([4.23, 380.4, 12_400].map(duration)).toEqual(['4.2 ms', '380 ms', '12.4 s']);
});
