/** A traced starter and traced Workers in one process. Prints the spans of one generation, whose first status check fails. */
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';
import { resources, NodeSDK, tracing } from '@opentelemetry/sdk-node';
import { Client } from '@temporalio/client';
import { OpenTelemetryPlugin } from '@temporalio/interceptors-opentelemetry';
import { GenerationClient } from 'rivya-temporal';
import { createTestEnvironment } from 'rivya-temporal/testing';
import { createRivyaWorkers } from 'rivya-temporal/worker';

const resource = new resources.Resource({ 'service.name': 'test' });
const exporter = new tracing.InMemorySpanExporter();
const spanProcessor = new tracing.SimpleSpanProcessor(exporter);
const environment = await createTestEnvironment({
  workers: false,
  emulator: { faults: [{ on: 'status', times: 1, do: { kind: 'error', code: 'internal_error' } }] },
});
Object.assign(process.env, environment.env);
const { RIVYA_BASE_URL } = environment.env;
new NodeSDK({
  resource,
  spanProcessors: [spanProcessor],
  contextManager: new AsyncLocalStorageContextManager(),
  instrumentations: [new UndiciInstrumentation({ ignoreRequestHook: ({ origin }) => origin !== RIVYA_BASE_URL })],
}).start();

const { connection, client } = environment;
const { namespace } = client.options;
const plugin = new OpenTelemetryPlugin({ resource, spanProcessor });
const workers = await createRivyaWorkers({ connection, namespace, plugins: [plugin] });
const running = workers.run();
const traced = new GenerationClient(new Client({ connection: client.connection, namespace, plugins: [plugin] }));
const generation = await traced.start({ model: 'z-image', prompt: 'A traced fox' }, { workflowId: 'traced' });
await generation.result();
workers.shutdown();
await running;
const { paidTasks } = await environment.emulator.ledger();
const spans = exporter.getFinishedSpans().map((span) => ({
  name: span.name,
  trace: span.spanContext().traceId,
  id: span.spanContext().spanId,
  parent: span.parentSpanId,
  status: span.status.message,
  attributes: span.attributes,
}));
await environment.dispose();
console.log(JSON.stringify({ paidTasks, spans }));
