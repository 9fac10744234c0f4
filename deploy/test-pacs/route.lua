-- Sends every MR series to metserve as soon as it is stable.
--
-- Loop guard, twice: none of metserve's results is MR, and whatever came from metserve's AE
-- title is never sent back to it.

local TARGET = "metserve"     -- a name of DicomModalities in orthanc.json
local TARGET_AET = "METSERVE" -- the AE title metserve sends results with

function OnStableSeries(seriesId, tags, metadata)
  if tags["Modality"] ~= "MR" or metadata["RemoteAET"] == TARGET_AET then
    return
  end
  print("routing series " .. seriesId .. " to " .. TARGET)
  local job = {}
  job["Resources"] = { seriesId }
  job["Asynchronous"] = true
  RestApiPost("/modalities/" .. TARGET .. "/store", DumpJson(job, true))
end
