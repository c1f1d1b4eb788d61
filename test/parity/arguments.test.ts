import { expect, test } from 'vitest'
import { readArguments } from './arguments.js'

test('arguments are read, help is asked for, and what is unknown is refused', () => {
  const none = { file: null, reference: null, device: null, runs: null, jobs: 1 }
  expect(readArguments([])).toEqual(none)
  expect(readArguments(['a.dino', 'b.json', '--device=native', '--runs', 'kept', '--jobs', '2'])).toEqual({
    ...{ file: 'a.dino', reference: 'b.json', device: 'native', runs: 'kept', jobs: 2 },
  })
  for (const args of [['--help'], ['-h'], ['a.dino', '--help']]) expect(readArguments(args)).toBe('help')
  for (const [args, wrong] of [
    [['--seeds', '2'], 'unknown argument --seeds'],
    [['-x'], 'unknown argument -x'],
    [['a', 'b', 'c'], 'unknown argument c'],
    [['--runs'], '--runs needs a value'],
    [['--runs', '--jobs', '2'], '--runs needs a value'],
    [['--jobs', 'many'], '--jobs many: expected a whole number from 1'],
  ] as const)
    expect(readArguments(args)).toEqual({ wrong })
})
