/**
 * Every import goes down: docs/architecture.md, "The house plan". `npm run lint` checks it.
 *
 * @type {import('dependency-cruiser').IConfiguration}
 */
const LAYERS = [
  '^src/core/',
  '^src/platform/',
  '^src/adapters/',
  '^src/engines/cases/',
  '^src/engines/(bulk|fleet|notify|watch)/',
  '^src/engines/cleanup/',
  '^(workflows|activities)/',
  '^src/worker/',
  '^src/cli/',
];

const goesDown = LAYERS.slice(0, -1).map((layer, index) => ({
  name: `goes-down-from-${layer
    .replace(/[\^/]+/g, ' ')
    .trim()
    .replace(/\W+/g, '-')}`,
  comment: 'Move what both need into the lower of the two layers, or have it handed over by src/worker/service.ts.',
  severity: 'error',
  from: { path: layer },
  to: { path: LAYERS.slice(index + 1) },
}));

export default {
  forbidden: [
    ...goesDown,
    {
      name: 'no-circular',
      comment: 'Move what both need into a file of its own.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'engines-stand-alone',
      comment: 'Engines import `cases` and nothing of one another; only cleanups are built on bulk plans.',
      severity: 'error',
      from: { path: '^src/engines/(bulk|fleet|notify|watch)/' },
      to: { path: '^src/engines/', pathNot: ['^src/engines/$1/', '^src/engines/cases/'] },
    },
    {
      name: 'core-is-pure',
      comment: 'The core takes data in and gives decisions out: no I/O.',
      severity: 'error',
      from: { path: '^src/core/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-loose-files',
      comment: 'Every source belongs to a layer.',
      severity: 'error',
      from: {},
      to: { path: '^src/[^/]+$' },
    },
    {
      name: 'workflows-know-no-adapters',
      comment: 'Workflow code is bundled and replayed: it may know types of what it calls, and timeouts.',
      severity: 'error',
      from: { path: '^workflows/' },
      to: {
        path: '^src/(platform|adapters|engines|worker|cli)/',
        pathNot: '^src/adapters/temporal/timeouts[.]ts$',
        dependencyTypesNot: ['type-only'],
      },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^node_modules' },
  },
};
