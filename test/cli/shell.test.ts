import { expect, test } from 'vitest'
import { shellLine } from '../../cli/shell.js'

test('words are quoted where a shell would take them apart', () => {
  expect(shellLine(['dinoc', 'run', 'a b.dino', '--only', "ws[weight=0.3,it's]", '--runs', 'x/y'])).toBe(
    "dinoc run 'a b.dino' --only 'ws[weight=0.3,it'\\''s]' --runs x/y",
  )
})
