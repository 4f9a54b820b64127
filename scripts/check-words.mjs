/**
 * Fails on phrases of scripts/lib/words.mjs in what people read: pages, examples, settings, alert rules, dashboards, and string
 * literals of the sources. Comments of the sources are not read. `npm run lint` runs it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { phrasesIn } from './lib/words.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const filesIn = (folder, ending) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .map((name) => join(folder, name));

const pages = [
  ...['README.md', 'CHANGELOG.md', '.env.example', 'docker-compose.yml'],
  ...['docs', 'bench', 'findings'].flatMap((folder) => filesIn(folder, /\.md$/)),
  ...['deploy/prometheus/rules', 'deploy/grafana', 'examples'].flatMap((folder) =>
    filesIn(folder, /\.(?:ya?ml|json)$/),
  ),
];
const sources = ['src', 'activities', 'workflows', 'simulator'].flatMap((folder) => filesIn(folder, /\.c?ts$/));

/** The texts of a source file, each with its place; those of imports say nothing. */
function textsOf(path, code) {
  const file = ts.createSourceFile(path, code, ts.ScriptTarget.Latest, true);
  const texts = [];
  const visit = (node) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return;
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      texts.push({ text: node.text, begin: node.getStart() + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return texts;
}

function findingsIn(path) {
  const whole = readFileSync(join(root, path), 'utf8');
  const texts = sources.includes(path) ? textsOf(path, whole) : [{ text: whole, begin: 0 }];
  return texts.flatMap(({ text, begin }) =>
    phrasesIn(text).map(({ at, found, instead }) => {
      const line = whole.slice(0, begin + at).split('\n').length;
      return `${path}:${line}: "${found.replaceAll(/\s+/g, ' ')}": write ${instead}`;
    }),
  );
}

const findings = [...pages, ...sources].flatMap(findingsIn);
for (const finding of findings) console.log(finding);
if (findings.length > 0) {
  console.log(`${findings.length} phrases to say in plain English; the list is scripts/lib/words.mjs.`);
  process.exitCode = 1;
}
