/** Methods of `Output` that make words for people of a view. */
const METHODS = new Set(['result', 'show', 'redraw']);

const isOutput = (node) =>
  (node.type === 'Identifier' && node.name === 'out') ||
  (node.type === 'MemberExpression' && ['out', 'page'].includes(node.property.name)) ||
  (node.type === 'CallExpression' && node.callee.name === 'createOutput');

/**
 * `out.result(document, view, words)` makes every text of the view printable before `words` sees it. What `words` takes from
 * around it instead would be printed as it came, line ends and terminal sequences included. So it may use nothing but what it
 * is given and what the module has.
 *
 * @type {import('eslint').Rule.RuleModule}
 */
export const wordsFromView = {
  meta: {
    type: 'problem',
    docs: { description: 'Words for people are made of the view alone' },
    messages: { captured: '{{name}} is not made printable: hand it over in the view.' },
    schema: [],
  },
  create: (context) => ({
    CallExpression({ callee, arguments: given }) {
      if (callee.type !== 'MemberExpression' || !METHODS.has(callee.property.name) || !isOutput(callee.object)) return;
      const words = given.at(-1);
      if (words?.type !== 'ArrowFunctionExpression' && words?.type !== 'FunctionExpression') return;
      for (const { identifier, resolved } of context.sourceCode.getScope(words).through) {
        if (resolved === null || ['module', 'global'].includes(resolved.scope.type)) continue;
        context.report({ node: identifier, messageId: 'captured', data: { name: identifier.name } });
      }
    },
  }),
};
