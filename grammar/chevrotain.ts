import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import type * as Chevrotain from 'chevrotain'

/**
 * Chevrotain from the bundle that its package holds: the modules behind its name import lodash's six hundred, one by
 * one, which takes a quarter of a second of every command.
 */
const modules = pathToFileURL(createRequire(import.meta.url).resolve('chevrotain'))
const bundle = new URL('../chevrotain.mjs', modules)

export const { createToken, EmbeddedActionsParser, EOF, Lexer } = (await import(
  bundle.href
)) as typeof Chevrotain
