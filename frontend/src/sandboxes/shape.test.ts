import { expect, test } from 'vitest';

import { NO_SHAPE, offered, shapeHint, shapeOf, type TemplateChoice } from './shape';

const base: TemplateChoice = { id: 'tpl-b', name: 'base', isPlatform: true, vcpus: null, memoryMb: null, diskSizeMb: 512 };
const kept: TemplateChoice = { id: 'tpl-k', name: 'a-kept', isPlatform: false, vcpus: 2, memoryMb: 1024, diskSizeMb: 5120 };

test('the default template comes first, then those of the platform, then those of the team', () => {
  const other = { ...base, id: 'tpl-o', name: 'alpine' };
  expect(offered([kept, other, base])).toEqual([
    ['tpl-b', 'base (platform)'],
    ['tpl-o', 'alpine (platform)'],
    ['tpl-k', 'a-kept'],
  ]);
});

test('of a shape, only what the template leaves open is asked for', () => {
  const text = { vcpus: '4', memoryMb: '', diskSizeMb: '6000' };
  expect(shapeOf(base, text)).toEqual({ vcpus: 4, memoryMb: null, diskSizeMb: 6000 });
  expect(shapeOf(kept, text)).toEqual({ vcpus: null, memoryMb: null, diskSizeMb: 6000 });
  expect(shapeOf(base, { ...NO_SHAPE, memoryMb: 'much' })).toBe('memoryMb');
  expect(shapeOf(kept, { ...NO_SHAPE, memoryMb: 'much' })).toEqual({ vcpus: null, memoryMb: null, diskSizeMb: null });
  expect(shapeHint(kept, 'vcpus')).toContain('Fixed');
  expect(shapeHint(kept, 'diskSizeMb')).toContain('5 GiB');
});
