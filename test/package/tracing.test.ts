/** One trace of a generation, from its starter to its calls, with the OpenTelemetry packages that docs/monitoring.md names. */
import { cp, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, inject, test } from 'vitest';
import { exec, install, pack, temporalVersions } from './project.js';

interface Span {
  readonly name: string;
  readonly trace: string;
  readonly id: string;
  readonly parent?: string;
  readonly status?: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

test('start, Workflow, Activities and calls are one trace, and a failed call names its request ID', async () => {
  const tarball = await pack();
  const temporal = (await temporalVersions()).at(-1)!;
  const project = await install(tarball, temporal, {
    '@temporalio/interceptors-opentelemetry': temporal,
    '@opentelemetry/sdk-node': '^0.57.0',
    '@opentelemetry/instrumentation-undici': '^0.10.0',
  });
  try {
    await cp(fileURLToPath(new URL('tracing/app.mjs', import.meta.url)), path.join(project, 'app.mjs'));
    const env = { TEMPORAL_ADDRESS: inject('temporalAddress') };
    const { status, stdout, output } = await exec(process.execPath, ['app.mjs'], { cwd: project, env });
    expect(status, output).toBe(0);
    const printed = JSON.parse(stdout.trim().split('\n').at(-1)!) as { paidTasks: number; spans: Span[] };
    const { paidTasks, spans } = printed;
    expect(paidTasks).toBe(1);
    const named = (name: string): Span[] => spans.filter((span) => span.name === name);
    const [start] = named('StartWorkflow:generateMedia');
    const [run] = named('RunWorkflow:generateMedia');
    const [submit] = named('RunActivity:rivyaSubmit');
    const checks = named('RunActivity:rivyaCheck');
    const activities = [submit, ...checks];
    for (const span of [run, ...activities]) expect(span?.trace).toBe(start!.trace);
    expect(checks.map((check) => check.status?.includes('requestId req_') === true)).toEqual([true, false]);
    const called = activities.map((activity) =>
      spans.find(
        ({ parent, attributes }) => parent === activity!.id && attributes['http.request.method'] !== undefined,
      ),
    );
    expect(called.map((call) => call?.attributes)).toMatchObject([
      { 'http.request.method': 'POST' },
      { 'http.request.method': 'GET', 'http.response.status_code': 500 },
      { 'http.request.method': 'GET', 'http.response.status_code': 200 },
    ]);
    expect(JSON.stringify(spans)).not.toContain('A traced fox');
  } finally {
    await Promise.all([path.dirname(tarball.file), project].map((it) => rm(it, { recursive: true })));
  }
});
