import { expect, test } from 'vitest';

import { shapeWords, sourceIds } from './template';

test('a template says what it fixes, and what it was made of', () => {
  expect(shapeWords({ vcpus: null, memoryMb: null, diskSizeMb: 512 })).toBe('512 MiB disk');
  expect(shapeWords({ vcpus: 2, memoryMb: 1024, diskSizeMb: 5120 })).toBe('2 vCPU · 1 GiB · 5 GiB disk');
  expect(sourceIds([{ sourceSandboxId: null }, { sourceSandboxId: 'sb-1' }, { sourceSandboxId: 'sb-1' }])).toEqual(['sb-1']);
});
