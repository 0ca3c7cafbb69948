-- wrk: POST bodies of 10 alerts each, as Grafana sends them, made before the clock starts.
-- SREOPS_BENCH_BODIES different bodies; services and fingerprints recur, as the repeats of firing alerts do.
local bodies = {}
local next_body = 0

local function alert(number)
  local service = "svc-" .. (number % 20)
  local print = string.format("%016x", number)
  return '{"status":"firing","labels":{"alertname":"HighErrorRate","service":"' .. service ..
    '","severity":"' .. (number % 4 == 0 and "critical" or "warning") ..
    '","grafana_folder":"Shop","instance":"10.0.0.' .. (number % 250) .. ':9100","job":"' .. service .. '","team":"payments"},' ..
    '"annotations":{"summary":"Error rate of ' .. service .. ' is above 5 % for 5 minutes","description":"' ..
    'More than one of twenty requests to ' .. service .. ' has failed; see the dashboard for which of them and since when.",' ..
    '"runbook_url":"https://wiki.example.org/runbooks/' .. service .. '"},' ..
    '"startsAt":"' .. STARTS_AT .. '","endsAt":"0001-01-01T00:00:00Z",' ..
    '"generatorURL":"http://grafana.example.org/alerting/grafana/abc' .. number .. '/view?orgId=1",' ..
    '"fingerprint":"' .. print .. '","silenceURL":"http://grafana.example.org/alerting/silence/new?alertmanager=grafana",' ..
    '"dashboardURL":"http://grafana.example.org/d/abc' .. number .. '?orgId=1","panelURL":"",' ..
    '"values":{"A":0.0731,"C":1},"valueString":"[ var=\'A\' labels={service=' .. service .. '} value=0.0731 ]"}'
end

function init(args)
  STARTS_AT = os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() - 60)
  local count = tonumber(os.getenv("SREOPS_BENCH_BODIES") or "64")
  for body = 0, count - 1 do
    local alerts = {}
    for one = 1, 10 do alerts[one] = alert(body * 10 + one) end
    local text = '{"receiver":"sreops","status":"firing","orgId":1,"version":"1","groupKey":"{}:{alertname=\\"HighErrorRate\\"}",' ..
      '"groupLabels":{"alertname":"HighErrorRate"},"commonLabels":{"alertname":"HighErrorRate"},"commonAnnotations":{},' ..
      '"externalURL":"http://grafana.example.org/","truncatedAlerts":0,"state":"alerting","title":"[FIRING:10]","message":"",' ..
      '"alerts":[' .. table.concat(alerts, ",") .. ']}'
    bodies[body] = wrk.format("POST", "/alerts", {["Content-Type"] = "application/json"}, text)
  end
end

function request()
  next_body = (next_body + 1) % (#bodies + 1)
  return bodies[next_body]
end

function done(summary, latency, requests)
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
