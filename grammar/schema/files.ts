import ablation from './ablation.schema.json' with { type: 'json' }
import augment from './augment.schema.json' with { type: 'json' }
import backbone from './backbone.schema.json' with { type: 'json' }
import blur from './blur.schema.json' with { type: 'json' }
import checkpoint from './checkpoint.schema.json' with { type: 'json' }
import cluster from './cluster.schema.json' with { type: 'json' }
import crops from './crops.schema.json' with { type: 'json' }
import curation from './curation.schema.json' with { type: 'json' }
import data from './data.schema.json' with { type: 'json' }
import dedup from './dedup.schema.json' with { type: 'json' }
import embed from './embed.schema.json' with { type: 'json' }
import evaluation from './eval.schema.json' with { type: 'json' }
import exclude from './exclude.schema.json' with { type: 'json' }
import experiment from './experiment.schema.json' with { type: 'json' }
import globalCrops from './global.schema.json' with { type: 'json' }
import grid from './grid.schema.json' with { type: 'json' }
import hardware from './hardware.schema.json' with { type: 'json' }
import head from './head.schema.json' with { type: 'json' }
import init from './init.schema.json' with { type: 'json' }
import jitter from './jitter.schema.json' with { type: 'json' }
import keep from './keep.schema.json' with { type: 'json' }
import local from './local.schema.json' with { type: 'json' }
import loss from './loss.schema.json' with { type: 'json' }
import masking from './masking.schema.json' with { type: 'json' }
import normalize from './normalize.schema.json' with { type: 'json' }
import optimize from './optimize.schema.json' with { type: 'json' }
import optimizer from './optimizer.schema.json' with { type: 'json' }
import phase from './phase.schema.json' with { type: 'json' }
import report from './report.schema.json' with { type: 'json' }
import retrieve from './retrieve.schema.json' with { type: 'json' }
import schedule from './schedule.schema.json' with { type: 'json' }
import solarize from './solarize.schema.json' with { type: 'json' }
import source from './source.schema.json' with { type: 'json' }
import stage from './stage.schema.json' with { type: 'json' }
import teacher from './teacher.schema.json' with { type: 'json' }
import variant from './variant.schema.json' with { type: 'json' }
import visualize from './visualize.schema.json' with { type: 'json' }

/** Every schema file. Together they are the whole vocabulary. */
export const schemaFiles: readonly unknown[] = [
  ablation,
  augment,
  backbone,
  blur,
  checkpoint,
  cluster,
  crops,
  curation,
  data,
  dedup,
  embed,
  evaluation,
  exclude,
  experiment,
  globalCrops,
  grid,
  hardware,
  head,
  init,
  jitter,
  keep,
  local,
  loss,
  masking,
  normalize,
  optimize,
  optimizer,
  phase,
  report,
  retrieve,
  schedule,
  solarize,
  source,
  stage,
  teacher,
  variant,
  visualize,
]
