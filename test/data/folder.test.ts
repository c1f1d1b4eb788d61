import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { closedFolder, findImages } from '../../runtime/data/folder.js'

const root = fs.mkdtempSync(join(os.tmpdir(), 'dinoc-folder-'))
afterAll(() => {
  fs.chmodSync(join(root, 'b'), 0o755)
  fs.rmSync(root, { recursive: true })
})
fs.mkdirSync(join(root, 'a'))
fs.mkdirSync(join(root, 'b'))
fs.writeFileSync(join(root, 'a/1.png'), '')
fs.chmodSync(join(root, 'b'), 0)

test('a folder that may not be looked into is named; other failures are not taken for it', () => {
  const denied = Object.assign(new Error('EACCES'), { code: 'EACCES', path: '/x/b' })
  expect(closedFolder(denied)).toBe('/x/b')
  expect(closedFolder(new Error('something else'))).toBeNull()
})

const superuser = process.getuid?.() === 0
test.skipIf(superuser)(
  `so it is on disk${superuser ? ' (skipped: the superuser may look into every folder)' : ''}`,
  () => {
    let caught: unknown = null
    try {
      findImages(root)
    } catch (error) {
      caught = error
    }
    expect(closedFolder(caught)).toBe(join(root, 'b'))
  },
)
