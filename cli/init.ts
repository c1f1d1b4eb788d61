import { existsSync, statSync, writeFileSync } from 'node:fs'
import { basename, relative } from 'node:path'
import type { Command } from 'commander'
import sharp from 'sharp'
import { resolve } from '../compiler/resolve/resolve.js'
import { DiagnosticError } from '../diagnostics/diagnostic.js'
import { parse } from '../grammar/parser.js'
import { format } from '../grammar/printer.js'
import { closedFolder, findImages } from '../runtime/data/folder.js'
import { exit } from './exit.js'
import { surveyOf } from './plan/data-at-hand.js'
import { UsageError } from './usage-error.js'

export function define(command: Command): void {
  command
    .argument('[name]', 'name of the experiment, and of the file without .dino')
    .option('--images <folder>', 'the folder with your images; folders inside it are classes')
    .action(async (name: string | undefined, options: { images?: string }) => {
      process.exitCode = await run(name, options.images)
    })
}

/** What a look at a folder tells. */
export interface FolderFacts {
  readonly path: string
  readonly images: number
  /** Folders inside that hold images. */
  readonly classes: number
  /** The median of the shorter sides of some images, in pixels. */
  readonly side: number
  /** Whether some of them have transparent pixels. */
  readonly transparent: boolean
}

/** Writes an experiment for a folder of images; an existing file stays as it is. */
async function run(given: string | undefined, folder: string | undefined): Promise<number> {
  const name = experimentName(
    given ?? (folder === undefined ? 'first' : basename(folder)),
    given !== undefined,
  )
  const file = `${name}.dino`
  if (existsSync(file))
    throw new UsageError(`${file} exists already, and is left as it is`, ['dinoc init ANOTHER_NAME'])
  const facts = folder === undefined ? null : await lookAt(folder)
  const text = experimentText(name, facts)
  if (facts !== null) refuseFaults(file, text)
  writeFileSync(file, text, { flag: 'wx' })
  const seen =
    facts === null ? '' : `: ${facts.images} images${facts.classes > 1 ? ` of ${facts.classes} classes` : ''}`
  process.stdout.write(
    [
      `wrote ${file}${seen}`,
      `  dinoc check ${file}          what is wrong with it`,
      `  dinoc run ${file} --smoke    two steps of everything`,
      `  dinoc run ${file}            train, evaluate, report`,
      '',
    ].join('\n'),
  )
  return exit.good
}

/** Faults of the folder that `run` would end with, found before a file that names it is written. */
function refuseFaults(file: string, text: string): void {
  const host = { read: (path: string) => (path === file ? text : null) }
  const { experiments } = resolve(file, host, { set: [], params: {}, env: {} })
  const faults = experiments.flatMap(({ variants }) => surveyOf(variants[0]!.resolved).faults)
  // Their places are in a file that does not exist yet.
  if (faults.length > 0) throw new DiagnosticError(faults.map((fault) => ({ ...fault, primary: null })))
}

/** A word that may name an experiment; one that the user gave is taken as it is or refused. */
function experimentName(wanted: string, given: boolean): string {
  const name = given
    ? wanted.replace(/\.dino$/, '')
    : wanted.replace(/[^A-Za-z0-9_]+/g, '_').replace(/^(\d)/, '_$1')
  const reserved = ['import', 'param', 'drop', 'extends', 'over', 'where', 'and', 'or', 'not']
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || reserved.includes(name))
    throw new UsageError(`\`${wanted}\` cannot name an experiment`, [
      'use letters, digits and _, not starting with a digit: dinoc init my_photos --images photos',
    ])
  return name
}

async function lookAt(folder: string): Promise<FolderFacts> {
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new UsageError(`${folder} is no folder`, ['dinoc init NAME --images FOLDER'])
  const names = imagesBelow(folder)
  if (names.length === 0)
    throw new UsageError(`${folder} holds no images`, ['images end in png, jpg, webp, gif, avif or tif'])
  const classes = new Set(names.map((name) => (name.includes('/') ? name.slice(0, name.indexOf('/')) : null)))
  const sample = names.filter((_, i) => i % Math.ceil(names.length / 48) === 0)
  const looked = await Promise.all(
    sample.map((name) =>
      sharp(`${folder}/${name}`)
        .metadata()
        .catch(() => null),
    ),
  )
  const sides = looked
    .flatMap((m) => (m?.width && m.height ? [Math.min(m.width, m.height)] : []))
    .sort((a, b) => a - b)
  if (sides.length === 0) throw new UsageError(`none of the images in ${folder} can be read`)
  const path = relative(process.cwd(), folder) || '.'
  return {
    path,
    images: names.length,
    classes: classes.has(null) ? 0 : classes.size,
    side: sides[Math.floor(sides.length / 2)]!,
    transparent: looked.some((m) => m?.hasAlpha === true),
  }
}

function imagesBelow(folder: string): readonly string[] {
  try {
    return findImages(folder).names
  } catch (error) {
    const closed = closedFolder(error)
    if (closed === null) throw error
    throw new UsageError(`${closed} may not be looked into: permission is missing`, [
      `chmod -R u+rX ${folder}`,
    ])
  }
}

/** An experiment on `vit_nano` whose crops and batch suit the images, laid out as `fmt` would. */
export function experimentText(name: string, facts: FolderFacts | null): string {
  const source = name === 'photos' ? 'pictures' : 'photos'
  const global = facts === null || facts.side >= 96 ? 64 : Math.max(32, Math.floor(facts.side / 16) * 16)
  const batch = facts === null ? 64 : Math.max(8, Math.min(64, 2 ** Math.floor(Math.log2(facts.images / 8))))
  const classes = facts === null || facts.classes > 1
  const path = JSON.stringify(facts?.path ?? 'photos').replaceAll('${', '\\${')
  const lines = [
    'import { vit_nano } from "std/dinov2.dino"',
    '',
    facts === null
      ? '// Your images: folders inside this one are classes.'
      : `// ${facts.images} images, some ${facts.side}px on their shorter side.`,
    `source ${source}: folder {`,
    `  path = ${path}`,
    '  split = hash(train: 80%, test: 20%)',
    ...(facts?.transparent ? ['  background = white // under transparent pixels'] : []),
    '}',
    '',
    `experiment ${name} extends vit_nano {`,
    `  data { train = ${source}.train }`,
    '',
    '  crops {',
    `    global { size = ${global}px }`,
    `    local { size = ${global / 2}px }`,
    '  }',
    '',
    '  schedule {',
    `    batch = ${batch} img`,
    '    phase pretrain { length = 20 epochs } // an epoch is one pass over the training images',
    '  }',
    '',
    ...(classes
      ? [
          '  // Do features of one class lie together? Compared with the untrained network and with raw pixels.',
          `  eval knn { train = ${source}.train, test = ${source}.test, k = [1, 10] }`,
          '',
        ]
      : []),
    '  ablation {',
    '    seeds = [0, 1]',
    ...(classes ? ['    primary = eval.knn.top1@10'] : []),
    '    variant no_koleo { drop loss.koleo }',
    '  }',
    '}',
    '',
  ]
  return format(parse(lines.join('\n'), `${name}.dino`).file)
}
