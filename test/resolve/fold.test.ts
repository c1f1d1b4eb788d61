import { expect, test } from 'vitest'
import { foldLines } from '../../compiler/resolve/fold.js'

test('long lines are folded where the language lets one break, texts and short lines stay', () => {
  const text = [
    '  cluster topical { pool = clean, queries = [ade20k.train, nyud.train], limit = 1000000 img }',
    '  labels = table("a folder, with a comma/emoji.json", nested: "skin_variations", label: "category")',
    '      // inherited, compressed from 500 epochs to 10000 steps: teacher_temp = 0.04',
    '      lr = warmup(0 -> 5e-5 over 1000 steps) |> cosine(to: 1e-6) // experiments/a.dino:69',
    '  short = 1 // a.dino:3',
  ].join('\n')
  expect(foldLines(text, 50)).toMatchInlineSnapshot(`
    "  cluster topical {
        pool = clean
        queries = [ade20k.train, nyud.train]
        limit = 1000000 img
      }
      labels = table(
        "a folder, with a comma/emoji.json",
        nested: "skin_variations",
        label: "category"
      )
          // inherited, compressed from 500 epochs to
          // 10000 steps: teacher_temp = 0.04
          // experiments/a.dino:69
          lr = warmup(
            0 -> 5e-5 over 1000 steps
          ) |> cosine(to: 1e-6)
      short = 1 // a.dino:3"
  `)
})
