import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { expect } from 'vitest'

/** Compares a text with the file that holds it; `UPDATE_GOLDEN=1` writes the file instead, to be reviewed in the diff. */
export function expectGolden(path: string, text: string): void {
  if (process.env.UPDATE_GOLDEN) {
    if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text)
    return
  }
  const expected = existsSync(path)
    ? readFileSync(path, 'utf8')
    : `(there is no ${path}: run with UPDATE_GOLDEN=1)`
  expect(text).toBe(expected)
}
