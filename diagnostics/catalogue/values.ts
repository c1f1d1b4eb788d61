import { entry } from './entry.js'

/** DINO04xx: values and units. */
export const values = {
  DINO0401: entry<{ field: string; expected: string; found: string }>(
    'error',
    'value of the wrong type',
    ({ field, expected, found }) => `\`${field}\`: expected ${expected}, found ${found}`,
  ),
  DINO0402: entry<{ field: string; expected: string; found: string }>(
    'error',
    'missing unit',
    ({ field, expected, found }) => `\`${field}\`: expected ${expected}, found ${found} without a unit`,
  ),
  DINO0403: entry<{ field: string; expected: string; found: string }>(
    'error',
    'wrong unit',
    ({ field, expected, found }) => `\`${field}\`: expected ${expected}, found ${found}`,
  ),
  DINO0404: entry<{ unit: string }>('error', 'unknown unit', ({ unit }) => `\`${unit}\` is not a unit`),
  DINO0405: entry<{ field: string; word: string }>(
    'error',
    'unknown word',
    ({ field, word }) => `\`${field}\` does not accept \`${word}\``,
  ),
  DINO0406: entry<{ name: string }>(
    'error',
    'unknown function',
    ({ name }) => `no function is called \`${name}\` here`,
  ),
  DINO0407: entry<{ name: string; call: string }>(
    'error',
    'unknown argument',
    // what is no word is a value without a name, one too many
    ({ name, call }) =>
      /^[\w.@]+$/.test(name)
        ? `\`${call}\` has no argument called \`${name}\``
        : `\`${call}\` takes no further value, found ${name}`,
  ),
  DINO0408: entry<{ name: string; call: string }>(
    'error',
    'missing argument',
    ({ name, call }) => `\`${call}\` needs \`${name}\``,
  ),
  DINO0409: entry<{ name: string; call: string }>(
    'error',
    'argument given twice',
    ({ name, call }) => `\`${name}\` of \`${call}\` is given twice`,
  ),
  DINO0410: entry<{ field: string; limit: string; found: string }>(
    'error',
    'number out of range',
    ({ field, limit, found }) => `\`${field}\` must be ${limit}, found ${found}`,
  ),
  DINO0411: entry<{ field: string; min: string; max: string }>(
    'error',
    'range reversed',
    ({ field, min, max }) => `\`${field}\`: the range starts at ${min}, above its end ${max}`,
  ),
  DINO0412: entry<{ op: string; left: string; right: string }>(
    'error',
    'units that do not fit together',
    ({ op, left, right }) =>
      left === '' ? `cannot compute ${op}(${right})` : `cannot compute ${left} ${op} ${right}`,
  ),
  DINO0413: entry<{ field: string; found: string }>(
    'error',
    'not a whole number',
    ({ field, found }) => `\`${field}\` must be a whole number, found ${found}`,
  ),
  DINO0414: entry<{ piece: string }>(
    'error',
    'piece of a schedule without an end',
    ({ piece }) => `\`${piece}\` says nothing about how long it lasts, but another piece follows`,
  ),
  DINO0415: entry('error', 'env() outside of a param', () => '`env` may stand only as the value of a param'),
  DINO0416: entry<{ what: string }>(
    'error',
    'not a finite number',
    ({ what }) => `${what} is not a finite number`,
  ),
  DINO0417: entry<{ name: string }>(
    'error',
    'unknown name in a value',
    ({ name }) => `\`${name}\` is neither a param nor a word that means something here`,
  ),
  DINO0418: entry<{ field: string; expected: string; found: number }>(
    'error',
    'list of the wrong length',
    ({ field, expected, found }) => `\`${field}\` takes ${expected}, found ${found}`,
  ),
  DINO0419: entry('error', 'batch outside of a schedule', () => '`batch` may be used only in schedules'),
  DINO0420: entry<{ type: string }>(
    'error',
    'unknown type of a param',
    ({ type }) => `no param is of type \`${type}\``,
  ),
  DINO0421: entry<{ field: string; item: string }>(
    'error',
    'item listed twice',
    ({ field, item }) => `\`${field}\` lists ${item} twice`,
  ),
  DINO0422: entry<{ found: string }>(
    'error',
    'condition that is neither true nor false',
    ({ found }) => `expected a condition, found ${found}`,
  ),
  DINO0423: entry<{ left: string; right: string }>(
    'error',
    'comparison of unlike things',
    ({ left, right }) => `cannot compare ${left} with ${right}`,
  ),
  DINO0424: entry<{ piece: string }>(
    'error',
    'piece of a schedule without a start',
    ({ piece }) => `\`${piece}\` says where it ends but not where it starts`,
  ),
  DINO0425: entry<{ text: string }>(
    'error',
    'colour that is none',
    ({ text }) => `"${text}" is not a colour`,
  ),
  DINO0426: entry<{ field: string }>('error', 'empty grid', ({ field }) => `\`${field}\` lists no value`),
  DINO0427: entry<{ name: string; value: string }>(
    'error',
    'param value that cannot be read',
    ({ name, value }) => `--param ${name}: cannot read "${value}"`,
  ),
} as const
