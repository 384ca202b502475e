import { writeFileSync } from 'node:fs';

const lineOf = ({ name, message }) => `${name}: ${message}`.split('\n', 1)[0];

/** Leaves for `run.mjs` which tests ran, and what broke around them: an import, a hook. */
export default class Reporter {
  onTestRunEnd(modules, unhandled) {
    const ran = modules
      .flatMap((module) => [...module.children.allTests()])
      .map((test) => ({ test, ...test.result() }))
      .filter(({ state }) => state === 'passed' || state === 'failed')
      .map(({ test, state, errors = [] }) => ({
        file: test.module.relativeModuleId,
        name: test.fullName,
        green: state === 'passed',
        why: errors.slice(0, 1).map(lineOf).join(''),
      }));
    const around = modules.flatMap((module) => [module, ...module.children.allSuites()]).flatMap((it) => it.errors());
    writeFileSync('report.json', JSON.stringify({ ran, broken: [...around, ...unhandled].map(lineOf) }));
  }
}
