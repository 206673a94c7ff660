port ENV.fetch("PORT", 3000)
threads 2, 5
