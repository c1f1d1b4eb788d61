import { entry } from './entry.js'

/** DINO06xx: IR. Faults of a graph, which a user meets only through a plan or IR text edited by hand, or a bug. */
export const ir = {
  DINO0601: entry<{ op: string; operand: string; expected: string; found: string }>(
    'error',
    'an operand of an operation has the wrong type',
    ({ op, operand, expected, found }) => `${op}: operand ${operand}: expected ${expected}, found ${found}`,
  ),
  DINO0602: entry<{ op: string; expected: string; found: number }>(
    'error',
    'an operation has the wrong number of operands',
    ({ op, expected, found }) => `${op}: expected operands ${expected}, found ${found}`,
  ),
  DINO0603: entry<{ op: string; attribute: string; expected: string; found: string }>(
    'error',
    'an attribute of an operation is not valid',
    ({ op, attribute, expected, found }) =>
      `${op}: attribute ${attribute}: expected ${expected}, found ${found}`,
  ),
  DINO0604: entry<{ callee: string }>(
    'error',
    'a called function does not exist',
    ({ callee }) => `expected a function named ${callee}, found none`,
  ),
  DINO0605: entry<{ func: string; op: string; value: string }>(
    'error',
    'a value is used before it is defined',
    ({ func, op, value }) => `${func}: ${op} uses ${value}, which is not defined before it`,
  ),
  DINO0606: entry<{ func: string; value: string }>(
    'error',
    'a value is defined twice or never',
    ({ func, value }) => `${func}: expected one definition of ${value}, found another number`,
  ),
  DINO0607: entry<{ func: string; op: string; result: string; expected: string; found: string }>(
    'error',
    'the type of a result is not what its operation gives',
    ({ func, op, result, expected, found }) =>
      `${func}: ${op} gives ${result} of type ${expected}, found ${found}`,
  ),
  DINO0608: entry<{ op: string; operand: string; rows: string }>(
    'error',
    'a reduction over a bounded tensor without its number of rows',
    ({ op, operand, rows }) =>
      `${op}: operand ${operand} has only ${rows} real rows, and the operation reads them all`,
  ),
  DINO0609: entry<{ func: string; kind: string }>(
    'error',
    'an operation that has to be expanded before this stage',
    ({ func, kind }) => `${func}: ${kind} has to be expanded before this stage`,
  ),
  DINO0610: entry<{ func: string; what: string; name: string }>(
    'error',
    'a source or sink of a function is not valid',
    ({ func, what, name }) => `${func}: ${name}: ${what}`,
  ),
  DINO0611: entry<{ op: string; module: string }>(
    'error',
    'no gradient passes through an operation',
    ({ op, module }) => `a gradient is asked for through ${op} in ${module}, which has none`,
  ),
  DINO0612: entry<{ site: string; rate: number }>(
    'error',
    'stochastic depth has to be expanded first',
    ({ site, rate }) => `residual ${site} still has stochastic depth ${rate}`,
  ),
  DINO0613: entry<{ line: number; expected: string; found: string }>(
    'error',
    'IR text cannot be read',
    ({ line, expected, found }) => `line ${line} of the IR text: expected ${expected}, found ${found}`,
  ),
  DINO0614: entry<{ name: string; expected: string; found: string }>(
    'error',
    'a value handed to the interpreter is missing or does not fit',
    ({ name, expected, found }) => `${name}: expected ${expected}, found ${found}`,
  ),
} as const
