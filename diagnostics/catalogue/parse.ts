import { entry } from './entry.js'

/** DINO01xx: syntax. `found` and `expected` are ready to print, backquotes included. */
export const parse = {
  DINO0101: entry<{ block: string }>(
    'error',
    'block not closed',
    ({ block }) => `${block} is not closed: a \`}\` is missing`,
  ),
  DINO0102: entry('error', 'one brace too many', () => 'this `}` closes nothing'),
  DINO0103: entry<{ after: string; found: string }>('error', 'missing value', ({ after, found }) =>
    after ? `expected a value after ${after}, found ${found}` : `expected a value, found ${found}`,
  ),
  DINO0104: entry<{ expected: string; found: string }>(
    'error',
    'missing comma or new line',
    ({ expected, found }) => `expected ${expected} before ${found}`,
  ),
  DINO0105: entry<{ found: string }>(
    'error',
    'not a statement',
    ({ found }) => `expected a statement, found ${found}`,
  ),
  DINO0106: entry<{ bracket: string; closer: string }>(
    'error',
    'bracket not closed',
    ({ bracket, closer }) => `this \`${bracket}\` is not closed: a \`${closer}\` is missing`,
  ),
  DINO0107: entry<{ expected: string; found: string }>(
    'error',
    'unexpected symbol',
    ({ expected, found }) => `expected ${expected}, found ${found}`,
  ),
  DINO0108: entry<{ where: string }>(
    'error',
    'comma too many',
    ({ where }) => `nothing stands ${where} this comma`,
  ),
  DINO0109: entry<{ expected: string; found: string }>(
    'error',
    "fault in a block's header",
    ({ expected, found }) => `expected ${expected}, found ${found}`,
  ),
  DINO0110: entry<{ word: string; expected: string }>(
    'error',
    'reserved word used as a name',
    ({ word, expected }) => `expected ${expected}, found the reserved word \`${word}\``,
  ),
  DINO0111: entry<{ expected: string; found: string }>(
    'error',
    'fault in an import',
    ({ expected, found }) => `expected ${expected}, found ${found}`,
  ),
  DINO0112: entry<{ expected: string; found: string }>(
    'error',
    'fault in a param',
    ({ expected, found }) => `expected ${expected}, found ${found}`,
  ),
  DINO0113: entry<{ found: string }>(
    'error',
    'not a condition',
    ({ found }) => `expected something that is true or false, found ${found}`,
  ),
  DINO0114: entry<{ closer: string; expected: string }>(
    'error',
    'closing bracket that fits nothing',
    ({ closer, expected }) =>
      expected ? `expected ${expected}, found \`${closer}\`` : `this \`${closer}\` closes nothing`,
  ),
  DINO0115: entry<{ field: string; found: string }>(
    'error',
    'no `=` between a field and its value',
    ({ field, found }) => `expected \`=\` after \`${field}\`, found ${found}`,
  ),
  DINO0116: entry<{ operator: string }>(
    'error',
    'comparison outside a condition',
    ({ operator }) => `\`${operator}\` compares, and only the \`where\` of a grid does that`,
  ),
  DINO0117: entry<{ what: string; place: string }>(
    'error',
    'statement in the wrong place',
    ({ what, place }) => `${what} stands ${place}`,
  ),
  DINO0118: entry<{ what: string; deepest: number }>(
    'error',
    'nested too deeply',
    ({ what, deepest }) => `${what} are nested more than ${deepest} deep here`,
  ),
} as const
