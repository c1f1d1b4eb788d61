import { entry } from './entry.js'

/** DINO02xx: names. */
export const names = {
  DINO0201: entry<{ path: string }>(
    'error',
    'imported file not found',
    ({ path }) => `cannot read the imported file "${path}"`,
  ),
  DINO0202: entry<{ name: string; path: string }>(
    'error',
    'imported file does not define the name',
    ({ name, path }) => `"${path}" does not define \`${name}\``,
  ),
  DINO0203: entry<{ cycle: readonly string[] }>(
    'error',
    'files import each other in a circle',
    ({ cycle }) => `import cycle: ${cycle.join(' -> ')}`,
  ),
  DINO0204: entry<{ name: string }>(
    'error',
    'unknown experiment',
    ({ name }) => `no experiment is called \`${name}\` here`,
  ),
  DINO0205: entry<{ cycle: readonly string[] }>(
    'error',
    'experiments extend each other in a circle',
    ({ cycle }) => `extends cycle: ${cycle.join(' -> ')}`,
  ),
  DINO0206: entry<{ name: string }>(
    'error',
    'unknown source or curation',
    ({ name }) => `no source or curation is called \`${name}\` here`,
  ),
  DINO0207: entry<{ name: string; split: string }>(
    'error',
    'unknown split or stage',
    ({ name, split }) => `\`${name}\` has no part called \`${split}\``,
  ),
  DINO0208: entry<{ name: string }>(
    'error',
    'unknown head',
    ({ name }) => `this experiment has no head called \`${name}\``,
  ),
  DINO0209: entry<{ name: string; head: string }>(
    'error',
    'tied to an unknown head',
    ({ name, head }) => `head \`${head}\` is tied to \`${name}\`, which this experiment does not have`,
  ),
  DINO0210: entry<{ name: string; experiment: string }>(
    'error',
    'unknown variant',
    ({ name, experiment }) => `experiment \`${experiment}\` has no variant called \`${name}\``,
  ),
  DINO0211: entry<{ path: string }>(
    'error',
    'drop of what is not there',
    ({ path }) => `cannot drop \`${path}\`: it is not there`,
  ),
  DINO0212: entry<{ kind: string }>(
    'error',
    'drop of a whole kind',
    ({ kind }) => `cannot drop every \`${kind}\` at once`,
  ),
  DINO0213: entry<{ path: string; name: string; what: string }>(
    'error',
    'drop of what an inherited variant edits',
    ({ path, name, what }) =>
      `dropping \`${path}\` leaves the inherited ${what} \`${name}\` without what it edits`,
  ),
  DINO0214: entry<{ cycle: readonly string[] }>(
    'error',
    'runs depend on each other in a circle',
    ({ cycle }) => `run() cycle: ${cycle.join(' -> ')}`,
  ),
  DINO0215: entry<{ name: string }>(
    'error',
    'unknown evaluation',
    ({ name }) => `this experiment has no evaluation called \`${name}\``,
  ),
  DINO0216: entry<{ name: string; file: string }>(
    'error',
    'no such experiment or variant in the file',
    ({ name, file }) => `${file} has no \`${name}\``,
  ),
  DINO0217: entry<{ name: string }>(
    'error',
    'unknown param in a text',
    ({ name }) => `no param is called \`${name}\` in this file`,
  ),
  DINO0218: entry<{ name: string }>(
    'error',
    'unknown phase',
    ({ name }) => `no phase is called \`${name}\` here`,
  ),
  DINO0219: entry<{ path: string }>(
    'error',
    'path into what is not there',
    ({ path }) => `this experiment has no \`${path}\``,
  ),
  DINO0220: entry<{ path: string; reason: string | null }>('error', 'file not found', ({ path, reason }) =>
    reason === null ? `cannot read ${path}` : `cannot read ${path}: ${reason}`,
  ),
  DINO0221: entry<{ name: string }>(
    'error',
    'no param of that name',
    ({ name }) => `--param ${name}: no file read here has a param of that name`,
  ),
  DINO0222: entry<{ cycle: readonly string[] }>(
    'error',
    'stages of a curation feed each other in a circle',
    ({ cycle }) => `stage cycle: ${cycle.join(' -> ')}`,
  ),
  DINO0223: entry<{ cycle: readonly string[] }>(
    'error',
    'params depend on each other in a circle',
    ({ cycle }) => `param cycle: ${cycle.join(' -> ')}`,
  ),
  DINO0224: entry<{ metric: string; type: string }>(
    'error',
    'metric that the evaluation does not give',
    ({ metric, type }) => `a ${type} evaluation gives no metric called \`${metric}\``,
  ),
  DINO0225: entry<{ head: string; to: string }>(
    'error',
    'tied to a head that is itself tied',
    ({ head, to }) => `head \`${head}\` is tied to \`${to}\`, which is itself tied`,
  ),
  DINO0226: entry<{ name: string; expected: string; found: string }>(
    'error',
    'name of another kind',
    ({ name, expected, found }) => `expected ${expected}, but \`${name}\` is ${found}`,
  ),
  DINO0227: entry<{ name: string }>(
    'error',
    'unknown part of the model',
    ({ name }) => `the model has no part called \`${name}\``,
  ),
  DINO0228: entry<{ name: string; experiment: string }>(
    'error',
    'the run has no head of that name',
    ({ name, experiment }) => `the teacher \`${experiment}\` has no head called \`${name}\``,
  ),
  DINO0229: entry<{ cycle: readonly string[] }>(
    'error',
    'phases follow each other in a circle',
    ({ cycle }) => `phase cycle: ${cycle.join(' -> ')}`,
  ),
  DINO0230: entry<{ variable: string }>(
    'warning',
    'environment variable not set',
    ({ variable }) => `the environment variable ${variable} is not set`,
  ),
  DINO0231: entry<{ path: string; characters: number; largest: number }>(
    'error',
    'file too large',
    ({ path, characters, largest }) =>
      `${path} has ${(characters / 2 ** 20).toFixed(1)} Mi characters: a file of experiments has at most ${largest / 2 ** 20} Mi`,
  ),
} as const
