"""Results for a PACS that draws neither SEG nor SR nor RTSTRUCT: pictures and pages."""
