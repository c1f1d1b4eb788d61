import { expect, test } from 'vitest'
import { elided, elidedNames } from '../../diagnostics/render/elided.js'

test('what two values have in common gives way, what tells them apart stays', () => {
  const [a, b] = elided(
    [
      'warmup(0 -> 0.002 over 10 epochs) |> cosine(to: 0.000001)',
      'warmup(0 -> 0.002 over 10 epochs) |> cosine(to: 0.00002)',
    ],
    24,
  ) as [string, string]
  expect([a, b]).toEqual(['…|> cosine(to: 0.000001)', '…|> cosine(to: 0.00002)'])
  expect(elided(['sinkhorn(iterations: 3)', 'sinkhorn(iterations: 5)'], 12)).toEqual([
    '…rations: 3)',
    '…rations: 5)',
  ])
  expect(elided(['one', 'two'], 12)).toEqual(['one', 'two'])
})

test('points of a grid show all that they vary, those of several grids their names too', () => {
  const points = (grid: string) =>
    ['30%', '50%'].flatMap((p) => ['10%..50%', '20%..30%'].map((r) => `${grid}[probability=${p},ratio=${r}]`))
  expect(elidedNames(['full', ...points('masks')], 24)).toMatchInlineSnapshot(`
    [
      "full",
      "…lity=30%…atio=10%..50%]",
      "…lity=30%…atio=20%..30%]",
      "…lity=50%…atio=10%..50%]",
      "…lity=50%…atio=20%..30%]",
    ]
  `)
  const two = elidedNames([...points('masks'), ...points('other')], 24)
  expect(new Set(two).size).toBe(8)
  expect(two.every((name) => name.length <= 24)).toBe(true)
  expect(two[4]).toMatch(/^other.*30%.*10%\.\.50%/)
})

test('what is longer by what it alone says stays whole, a name alone is known by its ends', () => {
  const apart = ['constant(0.0001, and more of it)', 'warmup(0 -> 0.002 over 10 epochs)']
  expect(elided(apart, 12)).toEqual(apart)
  expect(elided(['f(1, 2)', 'f(1, 2, 3, 4, 5, 6)'], 12)).toEqual([
    'f(1, 2)',
    expect.stringContaining(', 3, 4, 5, 6'),
  ])
  expect(elidedNames(['full', 'without_anything_at_all'], 12)).toEqual(['full', 'witho…at_all'])
  const alike = ['without_anything_at_all(1)', 'without_something_at_all(1)']
  expect(elidedNames(alike, 8)).toEqual(alike)
})
