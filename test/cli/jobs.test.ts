import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { pickVariants } from '../../cli/jobs.js'

const directory = mkdtempSync(join(tmpdir(), 'dinoc-jobs-'))
afterAll(() => rmSync(directory, { recursive: true }))
const file = join(directory, 'a.dino')
writeFileSync(
  file,
  `import { vit_nano } from "std/dinov2.dino"
experiment base extends vit_nano {
  ablation {
    variant no_koleo { drop loss.koleo }
    variant same { backbone.patch = 8px }
  }
}
experiment child extends base { backbone.depth = 2 }
`,
)

const picked = (entry: string, ...only: string[]) =>
  pickVariants(entry, { set: [], params: {} }, { only, seeds: null }, 'shapes').picked.map(
    ({ family, variant }) => `${family.name}.${variant.resolved.variant}`,
  )

test('--only takes a variant by its name, with that of its experiment before it, and the unedited one by either', () => {
  expect(picked(file, 'full')).toEqual(['base.full', 'child.full'])
  expect(picked(file, 'base')).toEqual(['base.full'])
  expect(picked(file, 'base.full', 'child.no_koleo')).toEqual(['base.full', 'child.no_koleo'])
  expect(picked(`${file}#child`, 'no_koleo', 'full')).toEqual(['child.full', 'child.no_koleo'])
  expect(() => picked(`${file}#child`, 'base')).toThrow(
    'no variant `base` here: there is full, no_koleo, same',
  )
})

test('an alias stands for the variant that is run in its place', () => {
  expect(picked(`${file}#base`, 'same')).toEqual(['base.full'])
  expect(picked(`${file}#base`, 'same', 'full')).toEqual(['base.full'])
  const { picked: named } = pickVariants(
    `${file}#base.same`,
    { set: [], params: {} },
    { only: null, seeds: null },
    'shapes',
  )
  expect(named.map(({ variant }) => variant.resolved.variant)).toEqual(['full'])
})
