import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { languageReference as render } from '../../compiler/codegen/language-reference.js'
import { resolve } from '../../compiler/resolve/resolve.js'
import { vocabularyTables } from '../../compiler/resolve/vocabulary-tables.js'
import { kinds } from '../../grammar/schema/vocabulary.js'

const languageReference = () => render(vocabularyTables())
const page = new URL('../../docs/language.md', import.meta.url)

describe('the language reference', () => {
  it('is what the schemas say now', () => {
    const text = languageReference()
    if (process.env.UPDATE_GOLDEN) writeFileSync(page, text)
    expect(existsSync(page) ? readFileSync(page, 'utf8') : '').toBe(text)
  })
  it('describes every field of every block, with its source', () => {
    const text = languageReference()
    for (const kind of kinds.values())
      for (const block of kind.types.values())
        for (const field of block.fields.values()) {
          expect(field.description, `${block.type}.${field.name}`).toMatch(/^[A-Z`].*[.:]$|^`/)
          expect(field.source, `${block.type}.${field.name}`).not.toBe('')
          expect(text).toContain(`| \`${field.name}\` |`)
        }
  })
  it('shows examples that check', () => {
    for (const [, example] of languageReference().matchAll(/```dino\n(.*?)```/gs))
      expect(
        resolve('a.dino', { read: () => example! }, { set: [], params: {}, env: {} }).diagnostics,
      ).toEqual([])
  })
})
