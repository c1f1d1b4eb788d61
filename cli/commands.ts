import type { CommandEntry } from './command.js'

/** Every command, one line each; a command's file is loaded only when it is called. */
export const commands: readonly CommandEntry[] = [
  { name: 'check', summary: 'report every fault of a file', load: () => import('./check.js') },
  { name: 'fmt', summary: 'lay out files canonically', load: () => import('./fmt.js') },
  {
    name: 'resolve',
    summary: 'print an experiment with everything written out',
    load: () => import('./resolve.js'),
  },
  {
    name: 'diff',
    summary: 'say what really differs between two experiments',
    load: () => import('./diff.js'),
  },
  {
    name: 'init',
    summary: 'write an experiment for a folder of your own images',
    load: () => import('./init.js'),
  },
  { name: 'plan', summary: 'say what a file costs before it runs', load: () => import('./plan.js') },
  { name: 'explain', summary: 'print the page of a diagnostic', load: () => import('./explain.js') },
  {
    name: 'devices',
    summary: 'say which devices are here, and how to get the others',
    load: () => import('./devices.js'),
  },
  {
    name: 'run',
    summary: 'train, evaluate and report the experiments of a file',
    load: () => import('./run.js'),
  },
  {
    name: 'eval',
    summary: 'measure runs again, without training',
    load: () => import('./eval.js'),
  },
  {
    name: 'features',
    summary: 'write what a trained network sees in images',
    load: () => import('./features.js'),
  },
  {
    name: 'bench',
    summary: 'time a training step on synthetic inputs',
    load: () => import('./bench.js'),
  },
  {
    name: 'status',
    summary: 'list the runs of a file and how far they are',
    load: () => import('./status.js'),
  },
  {
    name: 'report',
    summary: 'write the report of an experiment from its runs',
    load: () => import('./report.js'),
  },
  {
    name: 'completion',
    summary: 'print a script that completes commands in a shell',
    load: () => import('./completion.js'),
  },
]
