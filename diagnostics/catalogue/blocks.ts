import { entry } from './entry.js'

/** DINO03xx: blocks and fields. */
export const blocks = {
  DINO0301: entry<{ kind: string; where: string }>(
    'error',
    'unknown block',
    ({ kind, where }) => `no block is called \`${kind}\` ${where}`,
  ),
  DINO0302: entry<{ field: string; block: string }>(
    'error',
    'unknown field',
    ({ field, block }) => `${block} has no field called \`${field}\``,
  ),
  DINO0303: entry<{ field: string; block: string; owner: string }>(
    'error',
    'field of another type',
    ({ field, block, owner }) => `${block} has no field called \`${field}\`: it belongs to ${owner}`,
  ),
  DINO0304: entry<{ kind: string; type: string }>(
    'error',
    'unknown type of a block',
    ({ kind, type }) => `no ${kind} is of type \`${type}\``,
  ),
  DINO0305: entry<{ path: string }>(
    'error',
    'set twice',
    ({ path }) => `\`${path}\` is set twice in one body`,
  ),
  DINO0306: entry<{ path: string }>(
    'error',
    'block opened twice',
    ({ path }) => `\`${path}\` is opened twice in one body`,
  ),
  DINO0307: entry<{ kind: string; first: string; second: string }>(
    'error',
    'two types of one block',
    ({ kind, first, second }) => `\`${kind}\` cannot be both ${first} and ${second}`,
  ),
  DINO0308: entry<{ path: string; prefix: string }>(
    'error',
    'set both whole and in part',
    ({ path, prefix }) => `\`${prefix}\` is set as a whole and \`${path}\` inside it, in one body`,
  ),
  DINO0309: entry<{ path: string; dropped: string }>(
    'error',
    'dropped and set in one body',
    ({ path, dropped }) =>
      path === dropped
        ? `\`${path}\` is dropped and set in one body`
        : `\`${dropped}\` is dropped and \`${path}\` set in one body`,
  ),
  DINO0310: entry<{ field: string; block: string }>(
    'error',
    'missing field',
    ({ field, block }) => `${block} needs \`${field}\``,
  ),
  DINO0311: entry<{ what: string; where: string }>(
    'error',
    'missing block',
    ({ what, where }) => `${where} has no ${what}`,
  ),
  DINO0312: entry<{ kind: string; place: string; where: string }>(
    'error',
    'block in the wrong place',
    ({ kind, place, where }) => `\`${kind}\` belongs ${place}, not ${where}`,
  ),
  DINO0313: entry<{ clause: string; kind: string }>(
    'error',
    'clause in the wrong place',
    ({ clause, kind }) => `\`${kind}\` takes no \`${clause}\``,
  ),
  DINO0314: entry<{ kind: string; example: string }>(
    'error',
    'block without a name',
    ({ kind, example }) => `\`${kind}\` needs a name: ${example}`,
  ),
  DINO0315: entry<{ kind: string; name: string }>(
    'error',
    'block with a name too many',
    ({ kind, name }) => `\`${kind}\` takes no name, found \`${name}\``,
  ),
  DINO0316: entry<{ kind: string; name: string }>(
    'error',
    'block without a type',
    ({ kind, name }) => `${kind} \`${name}\` needs a type`,
  ),
  DINO0317: entry<{ path: string; prefix: string; value: string }>(
    'error',
    'path into a block that is a value',
    ({ path, prefix, value }) => `\`${path}\` leads into \`${prefix}\`, which is ${value}`,
  ),
  DINO0318: entry<{ name: string }>(
    'error',
    'second definition of a name',
    ({ name }) => `\`${name}\` is defined twice in this file`,
  ),
  DINO0319: entry<{ path: string }>(
    'error',
    'a value where a block belongs',
    ({ path }) => `\`${path}\` is a block, not a field`,
  ),
  DINO0320: entry<{ name: string }>(
    'error',
    'phase with the name of a field',
    ({ name }) => `no phase may be called \`${name}\`: \`schedule.${name}\` is a field`,
  ),
  DINO0321: entry<{ found: string }>(
    'error',
    'grid holds something else',
    ({ found }) => `a grid holds only \`path = [values]\`, found ${found}`,
  ),
  DINO0322: entry<{ field: string; block: string }>(
    'error',
    'a block where a value belongs',
    ({ field, block }) => `\`${field}\` of ${block} is a field, not a block`,
  ),
  DINO0323: entry<{ name: string }>(
    'error',
    'name that cannot be used',
    ({ name }) => `\`${name}\` cannot be used as a name`,
  ),
} as const
